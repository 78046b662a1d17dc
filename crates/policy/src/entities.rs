//! From names to Cedar's entities: those of one question, with everything that they are in.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
};
use thingward_model::{DeviceName, GroupName, Role, StreamName, TenantName};

use crate::action::Action;
use crate::resource::Resource;
use crate::schema::schema;
use crate::subject::{Subject, UserRole};
use crate::weak::JOIN_WEAKLY;
use crate::world::World;

/// The question could not be put, which is our mistake; the answer to it is no.
#[derive(Debug, thiserror::Error)]
#[error("the question cannot be put to the policies: {0}")]
pub(crate) struct BadQuestion(String);

fn bad(error: &dyn std::fmt::Display) -> BadQuestion {
    BadQuestion(error.to_string())
}

/// A question as Cedar takes it.
pub(crate) struct Question {
    /// Who, what, to what.
    pub(crate) request: Request,
    /// Those two, and all that they are in.
    pub(crate) entities: Entities,
}

impl Question {
    /// # Errors
    ///
    /// [`BadQuestion`] when the schema has no such question: a stream is not told to do something.
    pub(crate) fn new(
        tenant: TenantName,
        who: &Subject,
        action: Action,
        on: &Resource,
        world: &World,
    ) -> Result<Self, BadQuestion> {
        let mut build = Build { tenant, world, entities: HashMap::new() };
        let principal = build.subject(who)?;
        let (resource, context) = build.resource(on)?;
        build.question(principal, action.as_str(), resource, context)
    }

    /// Whether a thing may join a radio of a gateway in a way that is otherwise refused.
    pub(crate) fn weak_join(
        tenant: TenantName,
        thing: &str,
        gateway: &DeviceName,
        world: &World,
    ) -> Result<Self, BadQuestion> {
        let mut build = Build { tenant, world, entities: HashMap::new() };
        let principal = build.add(uid("Thing", thing)?, Attributes::new(), HashSet::new())?;
        let resource = build.member(gateway, Some(Role::Gateway))?;
        build.question(principal, JOIN_WEAKLY, resource, Context::empty())
    }
}

struct Build<'a> {
    tenant: TenantName,
    world: &'a World,
    entities: HashMap<EntityUid, Entity>,
}

type Attributes = HashMap<String, RestrictedExpression>;

impl Build<'_> {
    fn question(
        self,
        principal: EntityUid,
        action: &str,
        resource: EntityUid,
        context: Context,
    ) -> Result<Question, BadQuestion> {
        let action = uid("Action", action)?;
        let request = Request::new(principal, action, resource, context, Some(schema()));
        let entities = Entities::from_entities(self.entities.into_values(), Some(schema()));
        Ok(Question { request: request.map_err(|e| bad(&e))?, entities: entities.map_err(|e| bad(&e))? })
    }

    fn add(
        &mut self,
        uid: EntityUid,
        attrs: Attributes,
        parents: HashSet<EntityUid>,
    ) -> Result<EntityUid, BadQuestion> {
        let entity = Entity::new(uid.clone(), attrs, parents).map_err(|e| bad(&e))?;
        self.entities.insert(uid.clone(), entity);
        Ok(uid)
    }

    fn subject(&mut self, who: &Subject) -> Result<EntityUid, BadQuestion> {
        match who {
            Subject::Operator => self.add(uid("Operator", "local")?, Attributes::new(), HashSet::new()),
            Subject::Token { name, user: None, .. } => {
                let parents = [self.role(UserRole::Administrator.as_str())?].into();
                self.add(uid("Token", name.as_str())?, Attributes::new(), parents)
            }
            Subject::User(name) | Subject::Token { user: Some(name), .. } => {
                let user = self.world.users.get(name).cloned().unwrap_or_default();
                let mut parents = self.groups(&user.groups)?;
                for role in user.roles {
                    parents.insert(self.role(role.as_str())?);
                }
                self.add(uid("User", name.as_str())?, Attributes::new(), parents)
            }
            Subject::Member(principal) => self.member(&principal.name, Some(principal.role)),
        }
    }

    fn role(&mut self, name: &str) -> Result<EntityUid, BadQuestion> {
        uid("Role", name)
    }

    /// The groups, with those that they are in.
    fn groups(&mut self, direct: &BTreeSet<GroupName>) -> Result<HashSet<EntityUid>, BadQuestion> {
        for group in self.world.groups_above(direct) {
            let above = self.world.groups.get(&group).into_iter().flatten();
            let parents = above.map(|name| uid("Group", name.as_str())).collect::<Result<_, _>>()?;
            self.add(uid("Group", group.as_str())?, Attributes::new(), parents)?;
        }
        direct.iter().map(|name| uid("Group", name.as_str())).collect()
    }

    /// A device, gateway or application. One that nobody knows is a device in no group.
    fn member(&mut self, name: &DeviceName, role: Option<Role>) -> Result<EntityUid, BadQuestion> {
        let known = self.world.members.get(name);
        let role = role.or_else(|| known.map(|m| m.role)).unwrap_or(Role::Device);
        let direct = known.map(|m| m.groups.clone()).unwrap_or_default();
        let mut parents = self.groups(&direct)?;
        parents.insert(self.role(role.as_str())?);
        parents.insert(self.tenant()?);
        let kind = match role {
            Role::Device => "Device",
            Role::Gateway => "Gateway",
            Role::Application => "Application",
        };
        self.add(uid(kind, name.as_str())?, Attributes::new(), parents)
    }

    fn tenant(&mut self) -> Result<EntityUid, BadQuestion> {
        self.add(uid("Tenant", self.tenant.as_str())?, Attributes::new(), HashSet::new())
    }

    fn stream(&mut self, device: &DeviceName, stream: &StreamName) -> Result<EntityUid, BadQuestion> {
        let parent = self.member(device, None)?;
        let attrs = [("name".to_owned(), text(stream.as_str()))].into();
        self.add(uid("Stream", &format!("{device}/{stream}"))?, attrs, [parent].into())
    }

    fn resource(&mut self, on: &Resource) -> Result<(EntityUid, Context), BadQuestion> {
        let mut context = Context::empty();
        let resource = match on {
            Resource::Tenant => self.tenant()?,
            Resource::Member(name) => self.member(name, None)?,
            Resource::Stream(device, stream) => self.stream(device, stream)?,
            Resource::Field(device, stream, field, categories) => {
                let parent = self.stream(device, stream)?;
                let name = field.as_ref().map_or("", |f| f.as_str());
                let said = self.world.members.get(device).zip(field.as_ref());
                let said = said.and_then(|(member, field)| member.categories.get(field));
                let categories = categories.and(said.copied().unwrap_or_default());
                let categories = categories.words().map(text).collect::<Vec<_>>();
                let categories = RestrictedExpression::new_set(categories);
                let attrs = [("name".to_owned(), text(name)), ("categories".to_owned(), categories)].into();
                self.add(uid("Field", &format!("{device}/{stream}/{name}"))?, attrs, [parent].into())?
            }
            Resource::Operation(device, name, value) => {
                let parent = self.member(device, None)?;
                let known = self.world.members.get(device).and_then(|m| m.operations.get(name));
                let roles = known.into_iter().flat_map(|operation| &operation.roles);
                let roles =
                    roles.map(|role| Ok(RestrictedExpression::new_entity_uid(self.role(role.as_str())?)));
                let roles = RestrictedExpression::new_set(roles.collect::<Result<Vec<_>, BadQuestion>>()?);
                // What nobody described is sensitive.
                let sensitive = RestrictedExpression::new_bool(known.is_none_or(|o| o.is_sensitive));
                if let Some(value) = value {
                    let pairs = [("value".to_owned(), RestrictedExpression::new_decimal(decimal(*value)))];
                    context = Context::from_pairs(pairs).map_err(|e| bad(&e))?;
                }
                let attrs = [
                    ("name".to_owned(), text(name.as_str())),
                    ("roles".to_owned(), roles),
                    ("sensitive".to_owned(), sensitive),
                ];
                self.add(uid("Operation", &format!("{device}/{name}"))?, attrs.into(), [parent].into())?
            }
        };
        Ok((resource, context))
    }
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, BadQuestion> {
    let kind = EntityTypeName::from_str(kind).map_err(|e| bad(&e))?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

/// Ten-thousandths as Cedar writes them.
fn decimal(value: i64) -> String {
    let (sign, value) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    format!("{sign}{}.{:04}", value / 10_000, value % 10_000)
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn a_number_keeps_its_four_places_and_its_sign() {
        for (value, text) in
            [(35_000, "3.5000"), (-1, "-0.0001"), (0, "0.0000"), (i64::MIN, "-922337203685477.5808")]
        {
            assert_eq!(decimal(value), text);
        }
    }
}
