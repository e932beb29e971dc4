"""What the names of tables and columns tell about what they hold: guesses, for ``waybill init``.

A name is taken apart into words (``userEmailAddress``, ``user_email-address`` and ``USER EMAIL
ADDRESS`` are the same three), accents off. Words that mean something only together are listed
together; words that are run together (``motdepasse``) are found inside of others where they are
long enough to mean nothing else. English, German, French, Spanish, Portuguese, Italian and Dutch;
of a few more languages the commonest.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_WORD_EDGE: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS: Final = re.compile(r"[\W_]+")
_DIGITS: Final = re.compile(r"(?<=[^\W\d])\d+$")
_LETTERS: Final = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "ı": "i"})


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name: lower case, accents off, numbers at a word's end too."""
    spaced = " ".join(_SEPARATORS.split(_WORD_EDGE.sub(" ", name))).lower().translate(_LETTERS)
    plain = "".join(
        ch for ch in unicodedata.normalize("NFKD", spaced) if not unicodedata.combining(ch)
    )
    return tuple(_DIGITS.sub("", word) or word for word in plain.split())


class _Vocabulary:
    """Words to find in names. A line holds phrases, separated by commas, of one word or more."""

    def __init__(self, *, phrases: str, inside: str) -> None:
        listed = [tuple(phrase.split()) for phrase in phrases.replace("\n", ",").split(",")]
        self._phrases = frozenset(phrase for phrase in listed if phrase)
        self._longest = max(map(len, self._phrases))
        self._inside = tuple(inside.split())

    def __contains__(self, words: tuple[str, ...]) -> bool:
        for start in range(len(words)):
            for end in range(start + 1, min(start + self._longest, len(words)) + 1):
                phrase = words[start:end]
                if (
                    phrase in self._phrases
                    or (*phrase[:-1], _singular(phrase[-1])) in self._phrases
                ):
                    return True
        return any(each in word for word in words for each in self._inside)


def _singular(word: str) -> str:
    return word[:-2] if word.endswith("sses") else word.removesuffix("s")


_SECRET: Final = _Vocabulary(
    phrases="""
    password, passwd, pwd, pw, passphrase, passcode, pass, secret, token, jwt, otp, totp, hotp, pin
    salt, hash, bcrypt, argon, scrypt, cvv, cvc, credential, cookie, dsn, seed phrase
    api key, private key, secret key, access key, auth key, encryption key, signing key, master key
    session key, ssh key, license key, licence key, recovery key, connection string, session id
    recovery code, backup code, reset code, activation code, verification code, confirmation code
    auth code, pin code, security code, security answer, secret answer, mfa key, pgp key, gpg key
    passwort, kennwort, losungswort, geheimnis, geheimzahl, zugangsdaten, zugangscode
    privater schluessel, privater schlussel, geheimer schluessel, geheimer schlussel, api schlussel
    api schluessel, wiederherstellungscode, sicherheitsantwort, geheim
    mot de passe, mdp, jeton, cle privee, cle secrete, cle api, code secret, phrase secrete, hachage
    contrasena, contrasenia, contra sena, clave secreta, clave privada, clave acceso, secreto
    clave de acceso, clave api, palabra secreta, codigo secreto, clave usuario, frase secreta
    senha, segredo, chave privada, chave secreta, chave api, chave de acesso, palavra passe
    palavra de passe, codigo secreto, parola ordine, parola d ordine, segreto, chiave privata
    chiave segreta, chiave api, codice segreto, parola segreta, wachtwoord, geheime sleutel
    prive sleutel, haslo, heslo, losenord, adgangskode, kodeord, passord, salasana, sifre, jelszo
    parola, пароль, секрет, токен, 密码, 密碼, パスワード, 비밀번호
    """,
    inside="""
    password passwd passwort kennwort passphrase motdepasse contrasena wachtwoord losenord
    apikey privatekey secretkey accesskey clientsecret appsecret accesstoken refreshtoken
    authtoken sessiontoken bearertoken secretaccess encryptionkey signingkey 비밀번호
    """,
)
_NO_TEXT: Final = re.compile(r"boolean|date|time|interval|timestamp")
_COUNTED: Final = re.compile(r"smallint|integer|bigint|numeric|real|double precision")
_TOLD_ABOUT: Final = frozenset(
    {"count", "length", "len", "size", "version", "type", "expiry", "ttl"}
)

# Words for a person's data that stand for nothing else worth the name.
_PERSONAL: Final = _Vocabulary(
    phrases="""
    email, e mail, mail, phone, mobile, cellphone, fax, msisdn, telephone, tel, skype
    first name, last name, full name, surname, firstname, lastname, fullname, given name
    family name, middle name, maiden name, display name, nick name, nickname, user name, username
    login, login name, contact name, forename, initials
    address, street, street name, house number, postal, postal code, postcode, post code, zip
    zipcode, zip code, birth, birthday, birthdate, birthplace, dob, born, gender, sex, ssn
    social security, passport, national id, national insurance, nin, tax id, tax number, vat id
    iban, bic, account number, bank account, routing number, credit card, card number
    ip, ip address, ip addr, remote addr, mac address, user agent, latitude, longitude, lat, lng
    salary, wage, income, religion, ethnicity, nationality, citizenship, marital status, disability
    diagnosis, medical, blood type, sexual orientation, photo, avatar, biometric, signature
    driver license, drivers license, driving licence, license plate, number plate, next of kin
    name vorname, vorname, nachname, familienname, geburtsname, rufname, benutzername, anrede
    telefon, telefonnummer, handy, handynummer, mobilnummer, anschrift, adresse, strasse
    hausnummer, plz, postleitzahl, wohnort, geburt, geburtsdatum, geburtstag, geburtsort
    geschlecht, steuernummer, steuer id, sozialversicherungsnummer, ausweisnummer, personalausweis
    reisepass, kontonummer, kontoinhaber, bankverbindung, gehalt, einkommen, staatsangehorigkeit
    staatsangehoerigkeit, familienstand, kennzeichen, krankenkasse, konfession, unterschrift
    prenom, nom de famille, nom famille, nom complet, nom utilisateur, courriel, telephone, portable
    adresse ip, rue, code postal, naissance, date naissance, lieu naissance, sexe, numero fiscal
    securite sociale, nir, carte bancaire, salaire, revenu, nationalite, etat civil, plaque, pseudo
    nombre completo, apellido, correo, correo electronico, telefono, movil, celular, direccion
    domicilio, calle, codigo postal, nacimiento, fecha nacimiento, sexo, genero, dni, nif, nie
    cedula, curp, pasaporte, cuenta bancaria, tarjeta, salario, sueldo, nacionalidad, estado civil
    nome completo, sobrenome, apelido, nome usuario, telefone, telemovel, endereco, morada, rua, cep
    nascimento, data nascimento, data de nascimento, cpf, rg, passaporte, cartao, nacionalidade
    cognome, nome cognome, indirizzo, cellulare, nascita, data nascita, data di nascita, sesso
    codice fiscale, passaporto, stipendio, cittadinanza, codice postale, conto corrente
    voornaam, achternaam, adres, straat, woonplaats, geboortedatum, telefoon, telefoonnummer, bsn
    geslacht, imie, nazwisko, pesel, telefon komorkowy, fodselsdato, personnummer, cpr
    имя, фамилия, телефон, адрес, почта, 姓名, 电话, 邮箱, 地址, 氏名, 住所, 電話
    """,
    inside="""
    email courriel telefon telephone telefono telefone phonenumber firstname lastname fullname
    surname birthdate birthday dateofbirth geburt naissance nacimiento nascimento ipaddress
    ipaddr emailaddress streetaddress homeaddress postleitzahl strasse codicefiscale
    """,
)
_NAMES: Final = frozenset(
    {"name", "nom", "nombre", "nome", "naam", "nazwa", "navn", "namn", "nimi"}
)
# "name" alone is a person's in a table of people and a product's elsewhere.
_PEOPLE: Final = _Vocabulary(
    phrases="""
    user, customer, person, people, member, staff, employee, client, patient, student, actor
    account, contact, author, subscriber, teacher, guest, driver, buyer, applicant, lead
    recipient, participant, visitor, owner, profile, pupil, candidate, player, friend, child
    children, individual, citizen, resident, insured, doctor, nurse, operator, artist, director
    kunde, kunden, kundin, benutzer, nutzer, person, personen, mitarbeiter, mitglied, mitglieder
    patienten, schuler, schueler, lehrer, angestellte, teilnehmer, ansprechpartner, kontakte
    bewerber, mieter, anwender, personal
    utilisateur, personne, employe, adherent, membre, abonne, eleve, enseignant, salarie, client
    usuario, cliente, persona, empleado, miembro, paciente, alumno, socio, contacto, profesor
    utilizador, pessoa, funcionario, membro, aluno, contato, contacto
    utente, utenti, clienti, persone, dipendente, dipendenti, paziente, pazienti, studente, studenti
    contatto, contatti, socio, soci, gebruiker, gebruikers, klant, klanten, medewerker, medewerkers
    personen, leden, klient, uzytkownik, pracownik, kund, bruger, ansatt
    """,
    inside="customer employee benutzer mitarbeiter utilisateur",
)
# Other columns that say whose row it is: then ``name`` is theirs.
_OF_A_PERSON: Final = _Vocabulary(
    phrases="""
    email, e mail, birth, birthday, birthdate, dob, first name, last name, gender, surname, ssn
    vorname, nachname, geburtsdatum, geschlecht, prenom, naissance, courriel, apellido, nacimiento
    correo, sobrenome, nascimento, cognome, nascita, voornaam, achternaam, geboortedatum
    """,
    inside="firstname lastname birthdate geburtsdatum",
)


def looks_secret(column: str, type_name: str = "") -> bool:
    """Guess whether a column holds what opens a door: a password, a token, a key, or their digests.

    Times and truth values hold none, whatever they tell about one (``password_changed_at``), nor
    do numbers that count or refer (``token_count``, ``token_id``).
    """
    words = words_of(column)
    if words not in _SECRET or _NO_TEXT.match(type_name):
        return False
    is_number = _COUNTED.match(type_name) is not None
    return not (is_number and (words[-1] == "id" or not _TOLD_ABOUT.isdisjoint(words)))


def may_be_personal(
    table: str, column: str, type_name: str = "", others: tuple[str, ...] = ()
) -> bool:
    """Guess whether a column holds data about a person.

    Args:
        table: its table's name, which tells whose a plain ``name`` is.
        column: its name.
        type_name: PostgreSQL's name of its type. A truth value (``email_verified``) counts as none.
        others: the names of the table's columns.
    """
    words = words_of(column)
    if not words or type_name.startswith("boolean"):
        return False
    if type_name.startswith("inet"):
        return True
    is_reference = words[-1] == "id" and len(words) > 1
    if words in _PERSONAL:
        # address_id says where the address is, not what it is; a time, when it was changed.
        if is_reference:
            return words[-2:] in {
                ("national", "id"),
                ("tax", "id"),
                ("vat", "id"),
                ("steuer", "id"),
            }
        return not _is_when(words, type_name)
    if words[-1] not in _NAMES:
        return False
    if len(words) == 1:
        return words_of(table) in _PEOPLE or any(words_of(each) in _OF_A_PERSON for each in others)
    return words[:-1] in _PEOPLE


def _is_when(words: tuple[str, ...], type_name: str) -> bool:
    is_time = type_name.startswith("timestamp") or words[-1] == "at"
    return is_time and words not in _BIRTHS


_BIRTHS: Final = _Vocabulary(
    phrases="birth, birthday, birthdate, dob, born, naissance, nacimiento, nascimento, nascita",
    inside="birth geburt geboorte",
)
