"""Records in editors, over the Language Server Protocol: remarks, quick fixes, completion, hover.

Needs the extra ``adrkeep[lsp]``. Programs that checks name are never run from here. Texts are taken
whole on every change: records are small, and line ends are then those of ``Source`` alone.
"""

from __future__ import annotations

from pathlib import Path

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from adrkit import __version__
from adrkit.document import Edit, Source, Span
from adrkit.editor import EditorProject, Remark
from adrkit.errors import AdrkitError
from adrkit.record import Record

_SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "note": types.DiagnosticSeverity.Information,
}
_KINDS = {
    "record": types.CompletionItemKind.Reference,
    "status": types.CompletionItemKind.EnumMember,
    "file": types.CompletionItemKind.File,
    "folder": types.CompletionItemKind.Folder,
}


class Places:
    """Offsets of one text as the client counts them, and back."""

    def __init__(self, server: LanguageServer, text: str) -> None:
        self._codec = server.workspace.position_codec
        self.source = Source(text)

    def position(self, offset: int) -> types.Position:
        line = self.source.line_of(offset)
        before = self.source.text[self.source.line_span(line).start : offset]
        return types.Position(line - 1, self._codec.client_num_units(before))

    def range(self, span: Span) -> types.Range:
        return types.Range(self.position(span.start), self.position(span.end))

    def offset(self, position: types.Position) -> int:
        if position.line >= self.source.line_count:
            return len(self.source.text)
        span = self.source.line_span(position.line + 1)
        units = 0
        for offset in range(span.start, span.end):
            if units >= position.character:
                return offset
            units += self._codec.client_num_units(self.source.text[offset])
        return span.end

    def of(self, remark: Remark) -> types.Range:
        low, high = remark.span_on_line
        start = self.source.line_span(remark.line).start
        return self.range(Span(start + low, start + high))

    def edits(self, edits: tuple[Edit, ...]) -> list[types.TextEdit]:
        return [types.TextEdit(self.range(edit.span), edit.text) for edit in edits]


class RecordServer(LanguageServer):
    """State between messages: the project as last read, and the remarks on open records."""

    def __init__(self, start: Path, directory: Path | None = None) -> None:
        super().__init__(
            "adrkit", __version__, text_document_sync_kind=types.TextDocumentSyncKind.Full
        )
        self._start, self._directory = start, directory
        self._project: EditorProject | None = None
        self._remarks: dict[str, list[Remark]] = {}

    def begin(self, root: str | None) -> None:
        """``root`` is the folder that the client opened."""
        if root and Path(root).is_dir():
            self._start = Path(root)

    def project(self, *, anew: bool = False) -> EditorProject | None:
        """None when the settings cannot be read; the client is told."""
        if self._project is None or anew:
            try:
                self._project = EditorProject(self._start, self._directory)
            except AdrkitError as error:
                self.tell(error)
                self._project = None
        return self._project

    def tell(self, error: AdrkitError) -> None:
        text = f"{error}; {error.remedy}"
        self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, text))

    def text(self, uri: str) -> tuple[Path, str] | None:
        """None for what is no file, such as a text that has no name yet."""
        path = to_fs_path(uri)
        if path is None or not uri.startswith("file:"):
            return None
        return Path(path), self.workspace.get_text_document(uri).source

    def look(self, uri: str, *, typing: bool = False) -> None:
        """Publish the remarks on a record; of other files there is nothing to say."""
        held = self.text(uri)
        project = self.project(anew=not typing)
        if held is None or project is None or not project.is_record(held[0]):
            return
        path, text = held
        try:
            if typing:
                remarks = project.remarks_while_typing(path, text, self._remarks.get(uri, []))
            else:
                remarks = project.remarks(path, text)
        except AdrkitError as error:
            self.tell(error)
            return
        self._remarks[uri] = remarks
        self._publish(uri, text, remarks)

    def forget(self, uri: str) -> None:
        if self._remarks.pop(uri, None) is not None:
            self._publish(uri, "", [])

    def _publish(self, uri: str, text: str, remarks: list[Remark]) -> None:
        places = Places(self, text)
        diagnostics = [
            types.Diagnostic(
                places.of(remark), remark.message, _SEVERITIES[remark.severity], remark.code,
                source=remark.origin,
            )
            for remark in remarks
        ]  # fmt: skip
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, diagnostics))

    def actions(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        uri = params.text_document.uri
        held, project = self.text(uri), self.project()
        if held is None or project is None or uri not in self._remarks:
            return []
        path, text = held
        places = Places(self, text)
        found = []
        for remark in self._remarks[uri]:
            where = places.of(remark)
            if not _touch(where, params.range):
                continue
            for offer in remark.replacements:
                edit = types.WorkspaceEdit({uri: places.edits(offer.edits)})
                found.append(
                    types.CodeAction(offer.title, types.CodeActionKind.QuickFix, edit=edit)
                )
        mended = project.mended(path, text)
        if mended != text:
            whole = places.edits((Edit(Span(0, len(text)), mended),))
            found.append(
                types.CodeAction(
                    "Mend all that adr lint can mend safely",
                    types.CodeActionKind.SourceFixAll,
                    edit=types.WorkspaceEdit({uri: whole}),
                )
            )
        wanted = params.context.only
        return [
            action for action in found
            if not wanted or any(_is_kind(action.kind, kind) for kind in wanted)
        ]  # fmt: skip

    def suggestions(self, params: types.CompletionParams) -> types.CompletionList | None:
        held, project = self.text(params.text_document.uri), self.project()
        if held is None or project is None:
            return None
        places = Places(self, held[1])
        found = project.complete(*held, places.offset(params.position))
        if found is None:
            return None
        where = places.range(found.span)
        items = [
            types.CompletionItem(
                item.text, kind=_KINDS[item.kind], detail=item.detail or None,
                filter_text=item.text, text_edit=types.TextEdit(where, item.text),
            )
            for item in found.suggestions
        ]  # fmt: skip
        # Not complete: after the next slash other paths are asked for.
        return types.CompletionList(is_incomplete=True, items=items)

    def cited(self, params: types.HoverParams | types.DefinitionParams) -> Record | None:
        held, project = self.text(params.text_document.uri), self.project()
        if held is None or project is None:
            return None
        return project.record_cited_at(held[1], Places(self, held[1]).offset(params.position))


def _touch(left: types.Range, right: types.Range) -> bool:
    return left.start <= right.end and right.start <= left.end


def _is_kind(kind: types.CodeActionKind | str | None, wanted: types.CodeActionKind | str) -> bool:
    text, asked = str(getattr(kind, "value", kind)), str(getattr(wanted, "value", wanted))
    return text == asked or text.startswith(f"{asked}.")


def make_server(start: Path, directory: Path | None = None) -> RecordServer:
    """The server for the project that holds ``start``; ``start_io()`` serves it."""
    server = RecordServer(start, directory)

    @server.feature(types.INITIALIZED)
    def _initialized(ls: RecordServer, params: types.InitializedParams) -> None:
        ls.begin(ls.workspace.root_path)

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def _opened(ls: RecordServer, params: types.DidOpenTextDocumentParams) -> None:
        ls.look(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def _saved(ls: RecordServer, params: types.DidSaveTextDocumentParams) -> None:
        ls.look(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def _changed(ls: RecordServer, params: types.DidChangeTextDocumentParams) -> None:
        ls.look(params.text_document.uri, typing=True)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def _closed(ls: RecordServer, params: types.DidCloseTextDocumentParams) -> None:
        ls.forget(params.text_document.uri)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions([types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll]),
    )
    def _actions(ls: RecordServer, params: types.CodeActionParams) -> list[types.CodeAction]:
        return ls.actions(params)

    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION,
        types.CompletionOptions(trigger_characters=["-", "/", "(", "`", '"', "'", " "]),
    )
    def _complete(ls: RecordServer, params: types.CompletionParams) -> types.CompletionList | None:
        return ls.suggestions(params)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def _hover(ls: RecordServer, params: types.HoverParams) -> types.Hover | None:
        record = ls.cited(params)
        return None if record is None else types.Hover(_card(record))

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def _definition(ls: RecordServer, params: types.DefinitionParams) -> types.Location | None:
        record = ls.cited(params)
        uri = from_fs_path(str(record.path)) if record is not None else None
        start = types.Position(0, 0)
        return types.Location(uri, types.Range(start, start)) if uri else None

    return server


def _card(record: Record) -> types.MarkupContent:
    status = record.status.raw if record.status else "no status"
    text = f"**{record.label}: {record.name}**\n\n{status}"
    if record.decision:
        text += f"\n\n{record.decision.plain}"
    return types.MarkupContent(types.MarkupKind.Markdown, text)
