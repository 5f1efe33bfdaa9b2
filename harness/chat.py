"""What a chat model reads: a conversation in its tokenizer's template, or one line that says why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from ..core.errors import DetoxbenchError

SYSTEM = "system"


def templated(
    tokenizer: Any, name: str, messages: Sequence[Mapping[str, str]], generate: bool, arguments: Mapping[str, Any]
) -> str:
    """The text of a conversation.

    Args:
        tokenizer: of the model.
        name: of the model, for messages.
        messages: each with ``role`` and ``content``.
        generate: whether the model speaks next; else the last message is left open.
        arguments: further ones of the template (``enable_thinking``).

    Raises:
        DetoxbenchError: where there is no template, or it takes no such conversation.
    """
    if getattr(tokenizer, "chat_template", None) is None:
        raise DetoxbenchError(
            f"--apply_chat_template: the tokenizer of '{name}' has no chat template: it is a base model's; leave the "
            "option out, or give a chat model"
        )
    try:
        return tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=generate, continue_final_message=not generate,
            **arguments,
        )  # fmt: skip
    except jinja2.exceptions.TemplateError as error:
        if any(message["role"] == SYSTEM for message in messages):
            raise DetoxbenchError(
                f"--system_instruction: the chat template of '{name}' takes no system message ({error}): leave it out"
            ) from None
        raise DetoxbenchError(f"--apply_chat_template: the chat template of '{name}' fails: {error}") from None
