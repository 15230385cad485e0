"""`completion`: what a shell needs to complete the words of all commands."""

from __future__ import annotations

from argparse import Namespace

from artifact_proxy.command import output
from artifact_proxy.command.arguments import parser


def completion(arguments: Namespace) -> int:
    import shtab

    script: str = shtab.complete(parser(shtab.FILE), shell=arguments.shell)
    output.write(script.encode())
    return 0
