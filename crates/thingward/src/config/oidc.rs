//! `[service.oidc.NAME]`: providers of OpenID Connect that people sign in with.

use std::path::PathBuf;

use thingward_oidc::settings::{NAME_CLAIM, ROLES_CLAIM, SYSTEM_ROOTS};
use thingward_oidc::{ProviderName, Settings};

use super::reader::{Reader, Section, Wanted};
use super::roles::{folder, want};

/// Most providers: each is a button on the page where people sign in.
const PROVIDERS_MAX: usize = 16;
/// Longest text of these settings, in bytes.
const TEXT_BYTES_MAX: usize = 256;

const TEXT: Wanted = want("a text of 1 to 256 characters", "\"thingward\"");

fn line(text: &str) -> Option<String> {
    let fits = (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
}

/// One word of RFC 6749 §3.3.
fn scope(text: &str) -> Option<String> {
    line(text).filter(|t| t.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b)))
}

/// All of them.
pub(super) fn providers<'a>(r: &mut Reader<'a>, parent: &mut Section<'a>) -> Vec<Settings> {
    let section = r.subsection(parent, "oidc");
    let sections = r.sections(section, PROVIDERS_MAX, |name| ProviderName::new(name).ok());
    sections.into_iter().filter_map(|(id, section)| provider(r, id, section)).collect()
}

/// One of them; none when something that has to be there is not.
fn provider<'a>(r: &mut Reader<'a>, id: ProviderName, mut section: Section<'a>) -> Option<Settings> {
    let s = &mut section;
    let tenant = want("the name of a tenant", "\"acme\"");
    let issuer = want("an issuer", "\"https://id.example.com\"");
    let secret = want("an absolute path", "\"/etc/thingward/corp.secret\"");
    let scopes = want("a list of scopes", "[\"profile\", \"groups\"]");
    let role = want("administrator, operator, viewer or auditor", "\"viewer\"");
    let absolute = |t: &str| Some(PathBuf::from(t)).filter(|path| path.is_absolute());
    let tenant = r.needed(s, "tenant", tenant, |t| t.parse().ok());
    let issuer = r.needed(s, "issuer", issuer, |t| t.parse().ok());
    let client_id = r.needed(s, "client_id", TEXT, line);
    let client_secret_file = r.needed(s, "client_secret_file", secret, absolute);
    let name = r.text(s, "name", TEXT, id.to_string(), line);
    let roots = folder((r, s), "roots", SYSTEM_ROOTS);
    let scopes = r.texts(s, "scopes", scopes, vec!["profile".to_owned()], scope);
    let name_claim = r.text(s, "name_claim", TEXT, NAME_CLAIM.to_owned(), line);
    let roles_claim = r.text(s, "roles_claim", TEXT, ROLES_CLAIM.to_owned(), line);
    let mut roles = r.subsection(s, "roles");
    let roles = r.rest(&mut roles, role, |key, t| Some((line(key)?, t.parse().ok()?)));
    r.close(section);
    Some(Settings {
        id,
        name,
        issuer: issuer?,
        client_id: client_id?,
        client_secret_file: client_secret_file?,
        tenant: tenant?,
        roots,
        scopes,
        roles_claim,
        roles,
        name_claim,
    })
}
