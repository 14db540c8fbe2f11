"""Shell completion: scripts for bash, zsh and fish, made of the flags. Needs no JAX."""

import re

from absl import flags

from kernelgan_jax.app import configuration
from kernelgan_jax.app.commands import BENCHMARK, COMMANDS, WEB
from kernelgan_jax.app.configuration import UsageError
from kernelgan_jax.app.flag_values import POOL, SHELLS
from kernelgan_jax.app.flags import FLAGS, Flag, names
from kernelgan_jax.app.web import cli as web
from kernelgan_jax.kernel_formats import TOOLS

PROGRAM = "kernelgan-jax"

_FILES = ("image", "output_dir", "kernel", "sr_weights", "sr_model")
"""Flags whose values are paths."""

_STEPS = "degrade evaluate"
"""The words after `benchmark`."""


def script(shell: str) -> str:
    """The completions of the command for one of `SHELLS`.

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
    return _has_value(FLAGS.get(name) or FLAGS.get(name.removeprefix("no")))


def _has_value(flag: Flag | None) -> bool:
    return flag is None or flag.define is not flags.DEFINE_boolean


def _bash() -> str:
    found = _values()
    cases = "\n".join(
        f'    --{name}) words="{" ".join(values)}" ;;'
        for name, values in found.items()
        if values
    )
    listed = " ".join(f"--{name}{'=' if _takes_value(name) else ''}" for name in found)
    of_web = " ".join(f"--{n}{'=' * _has_value(f)}" for n, f in web.FLAGS.items())
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
  case "${{COMP_WORDS[1]}}" in
    {WEB}) words="{of_web}" ;;
    {BENCHMARK}) words=""; if [[ $COMP_CWORD == 2 ]]; then words="{_STEPS}"; fi ;;
  esac
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
    of_web = " \\\n".join(
        f"  '--{name}{f'=[{_first(flag)}]:{name}: ' if _has_value(flag) else ''}'"
        for name, flag in web.FLAGS.items()
    )
    return f"""\
#compdef {PROGRAM}
# {PROGRAM} --completion=zsh > a folder of $fpath/_{PROGRAM}
_kernelgan_jax_first() {{ compadd {" ".join(COMMANDS)}; _files }}
case "$words[2]" in
  {WEB}) _arguments '1: ' \\
{of_web}
    return ;;
  {BENCHMARK}) _arguments '1: ' '2:command:({_STEPS})' '*:file:_files'
    return ;;
esac
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
    for name, flag in web.FLAGS.items():
        lines.append(
            f"complete -c {PROGRAM} -n '__fish_seen_subcommand_from {WEB}' -l {name} "
            f"{'-x' if _has_value(flag) else '-f'} -d '{_first(flag)}'"
        )
    lines.append(
        f"complete -c {PROGRAM} -n '__fish_seen_subcommand_from {BENCHMARK}' -f "
        f"-a '{_STEPS}'"
    )
    others = f"-n 'not __fish_seen_subcommand_from {BENCHMARK} {WEB}'"
    for name, values in _values().items():
        kind = "-r" if name in _FILES else "-x" if _takes_value(name) else "-f"
        words = f" -a '{' '.join(values)}'" if values else ""
        lines.append(
            f"complete -c {PROGRAM} {others} -l {name} {kind}{words} "
            f"-d '{_about(name)}'"
        )
    return "\n".join(lines) + "\n"


def _about(name: str) -> str:
    """The first sentence on the flag of a name; empty for a setting."""
    flag = FLAGS.get(name)
    return "" if flag is None else _first(flag)


def _first(flag: Flag) -> str:
    """The first sentence on a flag, without what shells take for quotes or brackets."""
    first = re.split(r"[.;:] |[.;:,]? \(|, short for", flag.about.rstrip("."))[0]
    return "".join(c for c in first if c not in "'[]:\"`$\\")
