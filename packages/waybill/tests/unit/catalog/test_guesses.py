"""What names tell: which columns are marked as personal data, which are left out as secrets."""

from __future__ import annotations

import pytest

from waybill.catalog.guesses import looks_secret, may_be_personal, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("userEmailAddress", ("user", "email", "address")),
        ("USER_EMAIL-address", ("user", "email", "address")),
        ("APIKey", ("api", "key")),
        ("contrase\u00f1a2", ("contrasena",)),
        ("Stra\u00dfe", ("strasse",)),
        ("address2", ("address",)),
        ("2fa", ("2fa",)),
        ("\t", ()),
    ],
)
def test_name_is_taken_apart_into_words(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


def _each(text: str) -> list[str]:
    return text.split()


PERSONAL = _each("""
email EmailAddress e-mail user_email mail phone phone_number mobile fax first_name FullName surname
username address address2 street postal_code zip date_of_birth dob gender ssn passport national_id
tax_id iban IBAN bic credit_card ip ip_address clientIP latitude salary religion
vorname Nachname telefon Geburtsdatum Straße strasse plz anschrift geschlecht gehalt
prenom prénom nom_de_famille courriel naissance date_naissance code_postal téléphone sexe salaire
apellido apellidos correo correoElectronico teléfono dirección fecha_nacimiento dni sexo
sobrenome endereço telefone celular cpf data_nascimento nascimento salário
cognome indirizzo telefono cellulare codice_fiscale codiceFiscale data_di_nascita nascita sesso
voornaam achternaam geboortedatum adres straat bsn
""")
NOT_PERSONAL = _each("""
id title price created_at updated_at status mailed_count_total address_id user_id email_verified_at
last_update quantity description zipper addressed namespace filename table_name strip telegraph_x
""")


@pytest.mark.parametrize("column", PERSONAL)
def test_personal_data_are_marked_in_any_spelling(column: str) -> None:
    assert may_be_personal("things", column)


@pytest.mark.parametrize("column", NOT_PERSONAL)
def test_other_data_are_not(column: str) -> None:
    assert not may_be_personal("things", column)


@pytest.mark.parametrize(
    ("table", "column", "type_name", "others", "personal"),
    [
        ("customer", "name", "text", (), True),
        ("Kunden", "name", "text", (), True),
        ("clientes", "nombre", "text", (), True),
        ("utilisateurs", "nom", "text", (), True),
        ("product", "name", "text", (), False),
        ("product", "nome", "text", (), False),
        ("things", "name", "text", ("id", "birth_date"), True),
        ("orders", "customer_name", "text", (), True),
        ("orders", "product_name", "text", (), False),
        ("log", "origin", "inet", (), True),
        ("users", "email_verified", "boolean", (), False),
        ("users", "email_sent", "timestamp with time zone", (), False),
        ("users", "born_at", "timestamp without time zone", (), True),
    ],
)
def test_table_type_and_neighbours_tell_what_a_name_does_not(
    table: str, column: str, type_name: str, others: tuple[str, ...], personal: bool
) -> None:
    assert may_be_personal(table, column, type_name, others) is personal


SECRET = _each("""
password Password user_password passwordHash encrypted_password passwd pwd userPwd secret
client_secret clientSecret token access_token refreshToken api_token api_key apiKey APIKey apikey
hash salt otp totp_secret pin cvv private_key privateKey ssh_key session_key credentials
recovery_codes passwort Kennwort kennwort_hash geheimnis mot_de_passe MotDePasse motdepasse mdp
jeton cle_privee contraseña contrasena clave_secreta secreto senha senha_hash segredo chave_privada
segreto chiave_privata wachtwoord hasło lösenord пароль
""")
NO_SECRET = _each("""
secretary keyboard monkey hashtag passenger passport compass key primary_key tokenizer saltwater
opinion shipping spin hashed_tag id passages public_key
""")


@pytest.mark.parametrize("column", SECRET)
def test_secrets_are_left_out_in_any_spelling(column: str) -> None:
    assert looks_secret(column, "text")


@pytest.mark.parametrize("column", NO_SECRET)
def test_what_only_resembles_a_secret_stays(column: str) -> None:
    assert not looks_secret(column, "text")


@pytest.mark.parametrize(
    ("column", "type_name", "secret"),
    [
        ("password_changed_at", "timestamp with time zone", False),
        ("has_password", "boolean", False),
        ("token_count", "integer", False),
        ("token_id", "bigint", False),
        ("token_id", "text", True),
        ("pin", "integer", True),
        ("otp", "character varying(6)", True),
        ("salt", "bytea", True),
    ],
)
def test_type_tells_a_secret_from_what_is_about_one(
    column: str, type_name: str, secret: bool
) -> None:
    assert looks_secret(column, type_name) is secret
