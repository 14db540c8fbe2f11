"""Shell completion: scripts for bash, zsh and fish, made of the flags. Needs no JAX."""

import re

from absl import flags

from kernelgan_jax.app import configuration
from kernelgan_jax.app.commands import COMMANDS
from kernelgan_jax.app.configuration import UsageError
from kernelgan_jax.app.flag_values import POOL, SHELLS
from kernelgan_jax.app.flags import FLAGS, names
from kernelgan_jax.kernel_formats import TOOLS

PROGRAM = "kernelgan-jax"

_FILES = ("image", "output_dir", "kernel", "sr_weights", "sr_model")
"""Flags whose values are paths."""


def script(shell: str) -> str:
    """The completions of the command for a shell.

    Args:
      shell: One of `SHELLS`.

    Raises:
      UsageError: If it is none of them.
    """
    if shell not in SHELLS:
        raise UsageError(f"--completion={shell}: it must be {' or '.join(SHELLS)}")
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _values() -> dict[str, list[str]]:
    """All flags and settings, with the values that they can have, if these are few."""
    found: dict[str, list[str]] = {name: [] for name in names()}
    for name, flag in FLAGS.items():
        found[name] = list(flag.options.get("enum_values", []))
    found["export"] = [*TOOLS, POOL]
    found["config"] = configuration.preset_names()
    found |= {f"config.{name}": [] for name in configuration.setting_names()}
    return found


def _takes_value(name: str) -> bool:
    plain = name.removeprefix("no")
    flag = FLAGS.get(name) or FLAGS.get(plain)
    return flag is None or flag.define is not flags.DEFINE_boolean


def _bash() -> str:
    found = _values()
    cases = "\n".join(
        f'    --{name}) words="{" ".join(values)}" ;;'
        for name, values in found.items()
        if values
    )
    listed = " ".join(f"--{name}{'=' if _takes_value(name) else ''}" for name in found)
    # bash makes words of their own of `=`.
    return f"""\
# {PROGRAM} --completion=bash > ~/.local/share/bash-completion/completions/{PROGRAM}
_kernelgan_jax() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" words=""
  local flag="${{COMP_WORDS[COMP_CWORD-1]}}"
  if [[ $COMP_CWORD == 1 ]]; then words="{" ".join(COMMANDS)}"; fi
  if [[ $current == "=" ]]; then current=""
  elif [[ $flag == "=" ]]; then flag="${{COMP_WORDS[COMP_CWORD-2]}}"
  fi
  case "$flag" in
{cases}
  esac
  if [[ $current == -* ]]; then
    words="{listed}"
    compopt -o nospace
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _kernelgan_jax {PROGRAM}
"""


def _zsh() -> str:
    lines = []
    for name, values in _values().items():
        if not _takes_value(name):
            lines.append(f"  '--{name}[{_about(name)}]'")
            continue
        words = f"({' '.join(values)})" if values else "_files"
        if not values and name not in _FILES:
            words = " "
        lines.append(f"  '*--{name}=[{_about(name)}]:{name}:{words}'")
    listed = " \\\n".join(lines)
    return f"""\
#compdef {PROGRAM}
# {PROGRAM} --completion=zsh > a folder of $fpath/_{PROGRAM}
_kernelgan_jax_first() {{ compadd {" ".join(COMMANDS)}; _files }}
_arguments \\
{listed} \\
  '1:command:_kernelgan_jax_first' \\
  '*:image:_files'
"""


def _fish() -> str:
    lines = [
        f"# {PROGRAM} --completion=fish > ~/.config/fish/completions/{PROGRAM}.fish"
    ]
    lines += [
        f"complete -c {PROGRAM} -n __fish_use_subcommand -a {name} -d '{about}'"
        for name, about in COMMANDS.items()
    ]
    for name, values in _values().items():
        kind = "-r" if name in _FILES else "-x" if _takes_value(name) else "-f"
        words = f" -a '{' '.join(values)}'" if values else ""
        lines.append(
            f"complete -c {PROGRAM} -l {name} {kind}{words} -d '{_about(name)}'"
        )
    return "\n".join(lines) + "\n"


def _about(name: str) -> str:
    """The first sentence on a flag, without what shells take for quotes or brackets."""
    flag = FLAGS.get(name)
    if flag is None:
        return ""
    first = re.split(r"[.;:] |[.;:,]? \(|, short for", flag.about.rstrip("."))[0]
    return "".join(c for c in first if c not in "'[]:\"`$\\")
