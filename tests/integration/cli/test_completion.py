import subprocess
import sys

COMPLETED = """
source /dev/stdin
COMP_WORDS=(strongroom {words}); COMP_CWORD={at}
_strongroom; echo "${{COMPREPLY[@]}}"
"""


def test_bash_completes_commands_and_their_options():
    strongroom = [sys.executable, "-m", "strongroom", "completion", "bash"]
    script = subprocess.run(strongroom, capture_output=True, check=True).stdout

    def completed(*words: str) -> set[str]:
        asked = COMPLETED.format(words=" ".join(words), at=len(words))
        bash = ["bash", "--norc", "-c", asked]
        done = subprocess.run(bash, input=script, capture_output=True, check=True)
        return set(done.stdout.decode().split())

    assert completed("re") == {"restore", "rescue", "resume", "rebuild"}
    assert completed("policy", "pre") == {"preview"}
    assert "--in-place" in completed("restore", "orders", "--in")
