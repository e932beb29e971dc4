"""Row scopes: places are found where SQL has them and nowhere else."""

import pytest

from waybill.catalog.scope import RowScope


@pytest.mark.parametrize(
    ("text", "parameters", "pieces"),
    [
        ("tenant = :principal.tenant", ("tenant",), ("tenant = ", "")),
        (
            "a = :principal.tenant::uuid AND b=:principal.subject",
            ("tenant", "subject"),
            ("a = ", "::uuid AND b=", ""),
        ),
        ("a = ':principal.tenant'", (), ("a = ':principal.tenant'",)),
        ("a = $$:principal.tenant$$", (), ("a = $$:principal.tenant$$",)),
        ("a /* :principal.tenant */ = 1", (), ("a /* :principal.tenant */ = 1",)),
        ("a = 1 -- :principal.tenant", (), ("a = 1 -- :principal.tenant",)),
        (":principal.tenant = a -- :", ("tenant",), ("", " = a -- :")),
        ("::principal.tenant", (), ("::principal.tenant",)),
        ("a::principal = 'x'", (), ("a::principal = 'x'",)),
        ("a ~ E'\\\\\\'' AND b = ':x'", (), ("a ~ E'\\\\\\'' AND b = ':x'",)),
        ("(a IN (SELECT 1))", (), ("(a IN (SELECT 1))",)),
    ],
)
def test_places_are_found(text: str, parameters: tuple[str, ...], pieces: tuple[str, ...]) -> None:
    scope = RowScope(text)
    assert scope.parameters == parameters
    assert scope.pieces == pieces
    assert scope.needs_tenant == ("tenant" in parameters)
