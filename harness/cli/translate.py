"""``detoxbench translate``: a corpus into another language."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ...core.errors import DetoxbenchError
from ...core.files import write_text


def translate(
    source: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="texts, an object a line")],
    out: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="the same rows, translated; run again, it goes on")],
    model: Annotated[str, typer.Option(help="sequence-to-sequence model: folder or hub name")],
    from_lang: Annotated[str, typer.Option("--from", help="BCP-47 tag of the texts: en")],
    to_lang: Annotated[str, typer.Option("--to", help="BCP-47 tag of the translations: fr")],
    text_column: Annotated[str, typer.Option(help="field with the text")] = "text",
    reference: Annotated[
        Path | None, typer.Option(help="JSONL of reference translations: BLEU and chrF++ are recorded")
    ] = None,
    reference_column: Annotated[str | None, typer.Option(help="its field; default: --text-column")] = None,
    num_beams: Annotated[int, typer.Option(min=1, help="of beam search")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="of a translation")] = 256,
    batch_tokens: Annotated[int | None, typer.Option(min=1, help="texts x tokens of a batch; bounds memory")] = None,
    revision: Annotated[str | None, typer.Option(help="commit or tag of the model on the hub")] = None,
    dtype: Annotated[str | None, typer.Option(help="of the weights: float16, bfloat16, …")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default: a GPU if there is one")] = None,
) -> None:
    """Rows keep their other fields; OUT.jsonl.json records the model, its settings, counts and the quality."""
    if source.resolve() == out.resolve():
        raise DetoxbenchError(f"'{out}' is the input: give another name")
    from .. import translate as module
    from .. import translation_quality as measure

    # A reference that cannot be read is found before hours of work.
    references = module.read_rows(reference, reference_column or text_column) if reference else None
    settings = module.Settings(model, from_lang, to_lang, num_beams, max_new_tokens, revision, dtype)
    if references is not None:
        rows = module.read_rows(source, text_column)
        measure.paired(rows, references, text_column, reference_column or text_column)
    counts = module.translate_file(
        source, out, settings, column=text_column, batch_tokens=batch_tokens, device=device
    )  # fmt: skip
    record = {**asdict(settings), **asdict(counts)}
    if references is not None:
        rows = module.read_rows(out, text_column)
        pair = measure.paired(rows, references, text_column, reference_column or text_column)
        record["quality"] = measure.quality(*pair, to_lang)
    write_text(out.with_name(f"{out.name}.json"), [json.dumps(record, indent=1, ensure_ascii=False)])
    again = f", {counts.before:,} of them before" if counts.before else ""
    cut = f"; {counts.cut:,} are longer than the model reads and were cut" if counts.cut else ""
    typer.echo(f"{out}: {counts.rows:,} rows, {counts.texts:,} different texts{again}{cut}")
    if "quality" in record:
        for name in ("bleu", "chrf++"):
            found = record["quality"][name]
            typer.echo(f"{name} {found['score']:.1f} ({found['signature']})")
