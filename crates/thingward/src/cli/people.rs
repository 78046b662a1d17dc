//! `user`, `session` and `group`: people of a tenant, how they sign in, and what they are in.

use clap::Subcommand;
use hyper::Method;
use serde_json::json;

use super::Global;
use super::connection::Tenant as Whose;
use super::tenancy::show_items;
use crate::api::{Api, Path};
use crate::failure::Failure;
use crate::output::{self, fields, table};

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// List users.
    List {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Add a user, or give one other roles.
    Set {
        #[command(flatten)]
        tenant: Whose,
        /// What people call them: 1 to 63 letters, digits, `-`, `_` or `.`.
        name: String,
        /// administrator, operator, viewer, auditor. Without any: what policies permit, and nothing else.
        #[arg(long = "role", value_delimiter = ',')]
        roles: Vec<String>,
    },
    /// Make the link with which the first administrator of a tenant signs in. It works for 15 minutes, once.
    SetUp {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Make the link with which a user gets their first passkey. It works for three days, once.
    Invite {
        #[command(flatten)]
        tenant: Whose,
        /// What people call them.
        name: String,
    },
    /// Make the link with which a user gets a new passkey; when it is used, those they had and their sessions end.
    Recover {
        #[command(flatten)]
        tenant: Whose,
        /// What people call them.
        name: String,
    },
    /// Remove a user. Their name is forgotten, and their passkeys, their sessions and the tokens that they made end.
    Remove {
        #[command(flatten)]
        tenant: Whose,
        /// What people call them.
        name: String,
    },
}

impl User {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        match self {
            Self::List { tenant } => {
                let items = api.list(&Path::new(&["tenants", &tenant.name(&api).await?, "users"])).await?;
                let columns = [
                    ("NAME", "name"),
                    ("ROLES", "roles"),
                    ("PASSKEYS", "passkeys"),
                    ("ID", "id"),
                    ("CREATED", "created"),
                ];
                output::value(global.output, &json!(items), |_| table(&items, &columns));
            }
            Self::Set { tenant, name, roles } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "users", &name]);
                let user = api.call(Method::PUT, path.as_str(), Some(&json!({"roles": roles}))).await?;
                output::value(global.output, &user, fields);
            }
            Self::SetUp { tenant } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "set-up"]);
                output::value(global.output, &api.call(Method::POST, path.as_str(), None).await?, fields);
            }
            Self::Invite { tenant, name } => link(global, &api, tenant, &name, "invite").await?,
            Self::Recover { tenant, name } => link(global, &api, tenant, &name, "recover").await?,
            Self::Remove { tenant, name } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "users", &name]);
                api.call(Method::DELETE, path.as_str(), None).await?;
                output::value(global.output, &json!({"removed": name}), fields);
            }
        }
        Ok(())
    }
}

async fn link(global: &Global, api: &Api, tenant: Whose, name: &str, kind: &str) -> Result<(), Failure> {
    let path = Path::new(&["tenants", &tenant.name(api).await?, "users", name, "link"]);
    output::value(global.output, &api.post(path.as_str(), &json!({"kind": kind})).await?, fields);
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// List sessions that work.
    List {
        #[command(flatten)]
        tenant: Whose,
    },
    /// End a session.
    End {
        #[command(flatten)]
        tenant: Whose,
        /// Its id, as `session list` shows it.
        id: String,
    },
}

impl Session {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        match self {
            Self::List { tenant } => {
                let items = api.list(&Path::new(&["tenants", &tenant.name(&api).await?, "sessions"])).await?;
                let columns = [
                    ("ID", "id"),
                    ("USER", "user"),
                    ("BY", "by"),
                    ("CREATED", "created"),
                    ("USED", "used"),
                    ("EXPIRES", "expires"),
                ];
                output::value(global.output, &json!(items), |_| table(&items, &columns));
            }
            Self::End { tenant, id } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "sessions", &id]);
                api.call(Method::DELETE, path.as_str(), None).await?;
                output::value(global.output, &json!({"ended": id}), fields);
            }
        }
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Group {
    /// List who and what is in groups.
    List {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Put somebody or something into a group. A group is there while something is in it.
    Add {
        #[command(flatten)]
        tenant: Whose,
        /// The group.
        group: String,
        /// user/NAME, device/NAME or group/NAME.
        #[arg(value_parser = member)]
        member: (String, String),
    },
    /// Take somebody or something out of a group.
    Remove {
        #[command(flatten)]
        tenant: Whose,
        /// The group.
        group: String,
        /// user/NAME, device/NAME or group/NAME.
        #[arg(value_parser = member)]
        member: (String, String),
    },
}

fn member(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('/').filter(|(kind, _)| matches!(*kind, "user" | "device" | "group"));
    let parts = parts.map(|(kind, name)| (kind.to_owned(), name.to_owned()));
    parts.ok_or_else(|| format!("`{text}` is not user/NAME, device/NAME or group/NAME"))
}

impl Group {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        let (method, tenant, group, (kind, name)) = match self {
            Self::List { tenant } => {
                let answer =
                    api.get(Path::new(&["tenants", &tenant.name(&api).await?, "groups"]).as_str()).await?;
                show_items(global, &answer, &[("GROUP", "group"), ("MEMBER", "member")]);
                return Ok(());
            }
            Self::Add { tenant, group, member } => (Method::PUT, tenant, group, member),
            Self::Remove { tenant, group, member } => (Method::DELETE, tenant, group, member),
        };
        let path = Path::new(&["tenants", &tenant.name(&api).await?, "groups", &group, &kind, &name]);
        api.call(method, path.as_str(), None).await?;
        output::value(global.output, &json!({"group": group, "member": format!("{kind}/{name}")}), fields);
        Ok(())
    }
}
