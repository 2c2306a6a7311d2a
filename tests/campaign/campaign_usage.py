"""The forecast against a time lapse of its whole ten years."""

from pathlib import Path

import pytest

from integration.care.test_usage import Pages, check_forecasts


@pytest.mark.timeout(1800)
def test_ten_years_are_foreseen(tmp_path: Path) -> None:
    pages = Pages(tmp_path)
    try:
        check_forecasts(pages, 520)
    finally:
        pages.close()
