//! Tickets that no KDC has given, for a service whose key the router has: it has to look for the key, to derive
//! another from it and to decrypt, before it sees that the ticket is garbage.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use data_encoding::BASE64;

/// The realm, which needs no KDC.
const REALM: &str = "BENCH";
/// The service that the tokens are for, and what the router would be to coordinators.
const PRINCIPALS: [&str; 2] = ["impala/bench", "hs2router/bench"];
/// `aes256-cts-hmac-sha1-96` (RFC 3962), and its key's length in bytes.
const ENCTYPE: (u8, u8) = (18, 32);
/// What they are, as tables say it.
pub(crate) const MADE_WITH: &str =
    "each token is an AP-REQ for the service's key (AES-256) with a ticket of 240 random bytes";
/// How much of a ticket is encrypted, in bytes: as MIT's KDC gives it to a user without groups.
const ENCRYPTED: usize = 240;

/// A keytab with these principals, and the library's config.
#[derive(Clone, Debug)]
pub(crate) struct Keytab {
    pub(crate) file: PathBuf,
    pub(crate) config: PathBuf,
}

impl Keytab {
    /// Writes both into this directory.
    pub(crate) fn make(directory: &Path) -> anyhow::Result<Self> {
        let (file, config) = (directory.join("bench.keytab"), directory.join("krb5.conf"));
        let entries = PRINCIPALS.map(entry).concat();
        std::fs::write(&file, [&[5, 2], entries.as_slice()].concat()).context("the keytab")?;
        // Nobody listens there.
        let text = format!(
            "[libdefaults]\ndefault_realm = {REALM}\n[realms]\n{REALM} = {{\nkdc = 127.0.0.1:1\n}}\n"
        );
        std::fs::write(&config, text).context("krb5.conf")?;
        Ok(Self { file, config })
    }

    /// The tables of the router's config: of its listener, and of its cluster.
    pub(crate) fn tables(&self) -> [String; 2] {
        let (keytab, [service, own]) = (self.file.display(), PRINCIPALS);
        [
            format!("[listener.kerberos]\nkeytab = \"{keytab}\"\nprincipal = \"{service}@{REALM}\"\n"),
            format!(
                "[cluster.kerberos]\nkeytab = \"{keytab}\"\nprincipal = \"{own}@{REALM}\"\n\
                 coordinator = \"impala/_HOST@{REALM}\"\n"
            ),
        ]
    }
}

/// An entry of a keytab (MIT krb5: `doc/formats/keytab_file_format.rst`).
fn entry(principal: &str) -> Vec<u8> {
    let counted = |text: &str| [&[0, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let parts: Vec<u8> = principal.split('/').flat_map(counted).collect();
    let (enctype, length) = ENCTYPE;
    let entry = [
        &[0, 2],
        counted(REALM).as_slice(),
        &parts,
        // The type of the name, when it was made, and its version.
        &[0, 0, 0, 1, 0, 0, 0, 0, 1],
        &[0, enctype, 0, length],
        &vec![7; usize::from(length)],
    ]
    .concat();
    [&u32::try_from(entry.len()).expect("short").to_be_bytes(), entry.as_slice()].concat()
}

/// A value of DER with this tag.
fn tagged(tag: u8, inside: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(inside.len()).expect("short").to_be_bytes();
    [&[tag, 0x82, high, low], inside].concat()
}

/// A context tag around a small number, and around a text.
fn number(tag: u8, value: u8) -> Vec<u8> {
    tagged(tag, &tagged(0x02, &[value]))
}

fn text(value: &str) -> Vec<u8> {
    tagged(0x1b, value.as_bytes())
}

/// `EncryptedData` (RFC 4120, section 5.2.9) that nobody has encrypted.
fn encrypted(tag: u8) -> Vec<u8> {
    let cipher = tagged(0xa2, &tagged(0x04, &[0x5a; ENCRYPTED]));
    tagged(tag, &tagged(0x30, &[number(0xa0, ENCTYPE.0), number(0xa1, 1), cipher].concat()))
}

/// A token of GSSAPI with an `AP-REQ` (RFC 4121, section 4.1; RFC 4120, sections 5.3 and 5.5.1).
fn garbage() -> Vec<u8> {
    const KERBEROS: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
    let parts: Vec<u8> = PRINCIPALS[0].split('/').flat_map(text).collect();
    let names = tagged(0xa1, &tagged(0x30, &parts));
    let service = tagged(0xa2, &tagged(0x30, &[number(0xa0, 1), names].concat()));
    let realm = tagged(0xa1, &text(REALM));
    let ticket = tagged(0x61, &tagged(0x30, &[number(0xa0, 5), realm, service, encrypted(0xa3)].concat()));
    let options = tagged(0xa2, &tagged(0x03, &[0, 0, 0, 0, 0]));
    let request = [number(0xa0, 5), number(0xa1, 14), options, tagged(0xa3, &ticket), encrypted(0xa4)];
    tagged(0x60, &[KERBEROS, b"\x01\x00", &tagged(0x6e, &tagged(0x30, &request.concat()))].concat())
}

/// What a client sends in SASL up to its token.
pub(crate) fn in_sasl() -> Vec<u8> {
    let message = |status: u8, payload: &[u8]| {
        [&[status], u32::try_from(payload.len()).expect("short").to_be_bytes().as_slice(), payload].concat()
    };
    [message(1, b"GSSAPI"), message(2, &garbage())].concat()
}

/// A call over HTTP with the token.
pub(crate) fn over_http() -> Vec<u8> {
    const CALL: &[u8] = b"\x80\x01\x00\x01\x00\x00\x00\x0cCloseSession\x00\x00\x00\x01\x00";
    let (token, length) = (BASE64.encode(&garbage()), CALL.len());
    let head = format!(
        "POST /cliservice HTTP/1.1\r\nHost: bench\r\nAuthorization: Negotiate {token}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), CALL].concat()
}
