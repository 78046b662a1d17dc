//! `key`: a customer's key as a file, and what a tenant's key is doing.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use hyper::Method;
use rand_core::Rng;
use serde_json::{Value as Json, json};
use thingward_crypto::sealed::read_private;
use thingward_crypto::{RecipientSecretKey, system_rng};
use zeroize::Zeroizing;

use super::Global;
use super::connection::Tenant as Whose;
use super::file::create_private;
use crate::api::{Api, Path};
use crate::failure::Failure;
use crate::output::{self, fields};

/// Bytes of a customer's key.
const KEK_BYTES: usize = 32;

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Make a customer's key in a new file that only its owner reads.
    ///
    /// Whoever has it reads the history; without it nobody does. Keep a copy where the service is not.
    Create {
        /// The file. One that is there is never overwritten.
        file: PathBuf,
        /// An X25519 pair for streams that only the customer opens: the secret half goes into the file, the
        /// public half is shown.
        #[arg(long)]
        recipient: bool,
    },
    /// Show the state of a tenant's key.
    Show {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Withdraw a tenant's key: nothing of the tenant is readable until it is restored.
    Withdraw {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Restore a tenant's key.
    Restore {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Make a new key that later writes use. Older data stays readable.
    Rotate {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Set the public key that devices seal `customer` streams for.
    SetRecipient {
        #[command(flatten)]
        tenant: Whose,
        /// The public half from `key create --recipient`, base64; `none` takes it away.
        public_key: String,
    },
}

impl Key {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        if let Self::Create { file, recipient } = self {
            return create(global, &file, recipient);
        }
        let api = global.api()?;
        let key = match self {
            Self::Create { .. } => return Ok(()),
            Self::Show { tenant } => api.get(path(&api, &tenant, None).await?.as_str()).await?,
            Self::Withdraw { tenant } => change(&api, &tenant, "withdraw").await?,
            Self::Restore { tenant } => change(&api, &tenant, "restore").await?,
            Self::Rotate { tenant } => change(&api, &tenant, "rotate").await?,
            Self::SetRecipient { tenant, public_key } => {
                let recipient = (public_key != "none").then_some(public_key);
                let path = path(&api, &tenant, Some("recipient")).await?;
                api.call(Method::PUT, path.as_str(), Some(&json!({"recipient": recipient}))).await?
            }
        };
        output::value(global.output, &key, fields);
        Ok(())
    }
}

async fn path(api: &Api, tenant: &Whose, verb: Option<&str>) -> Result<Path, Failure> {
    let tenant = tenant.name(api).await?;
    let parts: Vec<&str> = ["tenants", &tenant, "key"].into_iter().chain(verb).collect();
    Ok(Path::new(&parts))
}

async fn change(api: &Api, tenant: &Whose, verb: &str) -> Result<Json, Failure> {
    api.post(path(api, tenant, Some(verb)).await?.as_str(), &json!({})).await
}

fn create(global: &Global, file: &std::path::Path, recipient: bool) -> Result<(), Failure> {
    let mut shown = json!({"file": file.display().to_string()});
    let secret = if recipient {
        let secret = RecipientSecretKey::generate(&mut system_rng());
        let public = secret.public_key().map_err(Failure::of)?;
        if let Some(object) = shown.as_object_mut() {
            object.insert("public_key".to_owned(), STANDARD.encode(public.as_bytes()).into());
        }
        Zeroizing::new(*secret.expose())
    } else {
        let mut bytes = Zeroizing::new([0; KEK_BYTES]);
        system_rng().fill_bytes(bytes.as_mut());
        if let (Some(object), Ok(path)) = (shown.as_object_mut(), std::path::absolute(file)) {
            object.insert("reference".to_owned(), format!("file:{}", path.display()).into());
        }
        bytes
    };
    let text = Zeroizing::new(format!("{}\n", STANDARD.encode(secret.as_slice())));
    create_private(file, text.as_bytes())?;
    output::value(global.output, &shown, fields);
    Ok(())
}

/// The secret key in a file of `key create --recipient`.
///
/// # Errors
///
/// When others may read the file, or it holds something else.
pub(super) fn recipient_key(file: &std::path::Path) -> Result<RecipientSecretKey, Failure> {
    let text = read_private(file).map_err(Failure::file(file))?;
    let bytes = STANDARD.decode(text.trim_ascii()).ok().map(Zeroizing::new);
    let bytes = bytes.and_then(|b| <[u8; KEK_BYTES]>::try_from(b.as_slice()).ok());
    let wrong = || Failure::Failed(format!("{} holds no recipient's key", file.display()));
    bytes.map(RecipientSecretKey::from_bytes).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::global;

    #[test]
    fn a_customer_key_that_was_made_opens_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("customer.key");
        create(&global(), &file, false).unwrap();
        thingward_store::keys::FileKek::open(&file).unwrap();
        assert!(create(&global(), &file, false).is_err());
    }
}
