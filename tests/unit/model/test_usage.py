"""Bytes that one point needs alone, and those that it shares: against a count by brute force."""

from hypothesis import given
from hypothesis import strategies as st

from strongroom.model.points.usage import Share, Tally

PACKS = {f"g/{number}": 1 << number for number in range(12)}
NEEDS = st.dictionaries(
    st.sampled_from("abcdef"), st.sets(st.sampled_from(sorted(PACKS))), max_size=6
)


@given(NEEDS)
def test_shares_are_those_of_a_count_by_brute_force(needs: dict[str, set[str]]) -> None:
    tally = Tally()
    for point, packs in needs.items():
        tally.add(point, [(pack, PACKS[pack]) for pack in packs])
    for point, share in tally.shares().items():
        others = set().union(*(packs for other, packs in needs.items() if other != point))
        assert share == Share(
            unique=sum(PACKS[pack] for pack in needs[point] - others),
            shared=sum(PACKS[pack] for pack in needs[point] & others),
        )
    assert tally.names() == set().union(*needs.values())
    assert tally.needed() == sum(PACKS[pack] for pack in tally.names())
    assert tally.shares().keys() == needs.keys()
