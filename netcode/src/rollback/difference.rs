//! Where two versions of one frame differ: the type, the entity, the field, and both values.
//!
//! Fields are found through `Serialize`, which every hashed type implements, so a type need not
//! derive anything else for it.

use std::{any::TypeId, cmp::Ordering};

use bevy::prelude::{Component, Entity, Resource};
use serde_json::Value;

use super::{
    hashing::Hashing,
    identity::RollbackId,
    names::{EntityNames, HideEntities, RenameEntities},
};
use crate::checksum::ValueHasher;

/// The first difference between two versions of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) type_name: &'static str,
    pub(crate) type_id: TypeId,
    /// The entity that has the value; `None` for a resource.
    pub(crate) entity: Option<RollbackId>,
    /// The path to the field, as in `velocity.x`; empty for the value as a whole.
    pub(crate) field: String,
    /// The field in the first version and in the second, as text.
    pub(crate) values: [String; 2],
    /// Whether one version lacks the component or the resource.
    pub(crate) is_missing: bool,
    /// Whether both versions hold the same, in another order of iteration.
    pub(crate) is_reordered: bool,
}

impl Difference {
    /// A difference in this type that could not be located any further.
    pub(super) fn somewhere_in(type_name: &'static str, type_id: TypeId) -> Self {
        let values = ["something".to_owned(), "something else".to_owned()];
        let (entity, field) = (None, String::new());
        let (is_missing, is_reordered) = (false, false);
        Self { type_name, type_id, entity, field, values, is_missing, is_reordered }
    }
}

/// The first difference between two versions of the components of one type, each given as (id,
/// value).
pub(super) fn between_components<C: Component + Clone>(
    hashing: Hashing<C>,
    versions: [Vec<(RollbackId, &C)>; 2],
    names: [&EntityNames; 2],
) -> Option<Difference> {
    let [first, again] = versions.map(|mut version| {
        version.sort_unstable_by_key(|&(id, _)| id);
        version
    });
    let (mut first, mut again) = (first.into_iter().peekable(), again.into_iter().peekable());
    loop {
        let (id, values) = match (first.peek(), again.peek()) {
            (None, None) => return None,
            (Some(&(id, _)), None) => (id, [first.next(), None]),
            (None, Some(&(id, _))) => (id, [None, again.next()]),
            (Some(&(one, _)), Some(&(other, _))) => match one.cmp(&other) {
                Ordering::Less => (one, [first.next(), None]),
                Ordering::Greater => (other, [None, again.next()]),
                Ordering::Equal => (one, [first.next(), again.next()]),
            },
        };
        let renamed = |version: usize| {
            let mut value = values[version]?.1.clone();
            C::map_entities(&mut value, &mut RenameEntities(names[version]));
            Some(value)
        };
        let values = [renamed(0), renamed(1)];
        if let Some(difference) = between(hashing, Some(id), &values) {
            return Some(difference);
        }
    }
}

/// The first difference between components and what is read back from their bytes.
pub(super) fn between_components_and_bytes<C: Component + Clone>(
    hashing: Hashing<C>,
    version: Vec<(RollbackId, &C)>,
    names: &EntityNames,
) -> Option<Difference> {
    let read_back = |(id, value)| Some(((id, value), (id, (hashing.read_back)(value)?)));
    let (version, copies): (Vec<_>, Vec<_>) = version.into_iter().filter_map(read_back).unzip();
    let copies = copies.iter().map(|(id, value)| (*id, value)).collect();
    between_components(hashing, [version, copies], [names, names])
}

/// The difference between a resource and what is read back from its bytes.
pub(super) fn between_resource_and_bytes<R: Resource + Clone>(
    hashing: Hashing<R>,
    value: &R,
    names: &EntityNames,
) -> Option<Difference> {
    let copy = (hashing.read_back)(value)?;
    between_resources(hashing, [Some(value), Some(&copy)], [names, names])
}

/// The difference between two versions of a resource.
pub(super) fn between_resources<R: Resource + Clone>(
    hashing: Hashing<R>,
    versions: [Option<&R>; 2],
    names: [&EntityNames; 2],
) -> Option<Difference> {
    let renamed = |version: usize| {
        let mut value = versions[version]?.clone();
        R::map_entities(&mut value, &mut RenameEntities(names[version]));
        Some(value)
    };
    between(hashing, None, &[renamed(0), renamed(1)])
}

/// The first component that holds an entity without declaring it.
pub(super) fn unsaid_entity_in_components<C: Component + Clone>(
    hashing: Hashing<C>,
    version: Vec<(RollbackId, &C)>,
    names: &EntityNames,
) -> Option<Difference> {
    version.into_iter().find_map(|(id, value)| {
        let mut value = value.clone();
        C::map_entities(&mut value, &mut HideEntities);
        unsaid_entity(hashing, Some(id), &value, names)
    })
}

/// The entity that a resource holds without declaring it.
pub(super) fn unsaid_entity_in_resource<R: Resource + Clone>(
    hashing: Hashing<R>,
    value: &R,
    names: &EntityNames,
) -> Option<Difference> {
    let mut value = value.clone();
    R::map_entities(&mut value, &mut HideEntities);
    unsaid_entity(hashing, None, &value, names)
}

/// Searches a value, in which declared entities have been hidden, for the bits of an entity that
/// rolls back.
fn unsaid_entity<T: 'static>(
    hashing: Hashing<T>,
    owner: Option<RollbackId>,
    value: &T,
    names: &EntityNames,
) -> Option<Difference> {
    let id_of = |number| names.id(Entity::try_from_bits(number)?);
    let number = (hashing.find_u64)(value, &|number| id_of(number).is_some())?;
    let shown = (hashing.show)(value).unwrap_or_default();
    let field = find_number(String::new(), &shown, number).unwrap_or_default();
    let whose = format!("the entity with `RollbackId` {}", id_of(number)?.get());
    let (type_name, type_id) = (std::any::type_name::<T>(), TypeId::of::<T>());
    Some(Difference {
        type_name,
        type_id,
        entity: owner,
        field,
        values: [number.to_string(), whose],
        is_missing: false,
        is_reordered: false,
    })
}

/// The path to a number in a tree.
fn find_number(path: String, value: &Value, number: u64) -> Option<String> {
    match value {
        Value::Number(it) => (it.as_u64() == Some(number)).then_some(path),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| find_number(format!("{path}[{index}]"), item, number)),
        Value::Object(fields) => fields.iter().find_map(|(key, field)| {
            let dot = if path.is_empty() { "" } else { "." };
            find_number(format!("{path}{dot}{key}"), field, number)
        }),
        _ => None,
    }
}

fn between<T: 'static>(
    hashing: Hashing<T>,
    entity: Option<RollbackId>,
    values: &[Option<T>; 2],
) -> Option<Difference> {
    let hash = |value: &Option<T>| {
        let mut hasher = ValueHasher::new(0);
        (hashing.hash)(value.as_ref()?, &mut hasher);
        Some(hasher.finish())
    };
    if hash(&values[0]) == hash(&values[1]) {
        return None;
    }
    let is_missing = values.iter().any(Option::is_none);
    let shown = [&values[0], &values[1]].map(|value| match value {
        Some(value) => {
            (hashing.show)(value).unwrap_or(Value::from("a value that JSON does not know"))
        }
        None => Value::from("none"),
    });
    let place = first_difference(String::new(), &shown[0], &shown[1]).unwrap_or_else(|| {
        let in_order = |value: &Option<T>| (hashing.show_in_order)(value.as_ref()?);
        match [&values[0], &values[1]].map(in_order) {
            // JSON trees sort the keys of maps.
            [Some(one), Some(other)] if one != other => Place::reordered(String::new(), one, other),
            _ => Place::new(String::new(), shown.map(|value| format!("{value} (in other bits)"))),
        }
    });
    let Place { field, values, is_reordered } = place;
    let (type_name, type_id) = (std::any::type_name::<T>(), TypeId::of::<T>());
    Some(Difference { type_name, type_id, entity, field, values, is_missing, is_reordered })
}

/// Where two values differ, and how.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The path to the field.
    field: String,
    /// Both values there, as text.
    values: [String; 2],
    is_reordered: bool,
}

impl Place {
    fn new(field: String, values: [String; 2]) -> Self {
        Self { field, values, is_reordered: false }
    }

    fn reordered(field: String, one: String, other: String) -> Self {
        Self { field, values: [one, other], is_reordered: true }
    }
}

/// Whether two lists have the same items in another order.
fn is_reordered(one: &[Value], other: &[Value]) -> bool {
    let sorted = |items: &[Value]| {
        let mut texts: Vec<String> = items.iter().map(ToString::to_string).collect();
        texts.sort_unstable();
        texts
    };
    one.iter().map(ToString::to_string).ne(other.iter().map(ToString::to_string))
        && sorted(one) == sorted(other)
}

/// The first place where two trees differ.
fn first_difference(path: String, one: &Value, other: &Value) -> Option<Place> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.iter().zip(other.values()).find_map(|((key, one), other)| {
                let dot = if path.is_empty() { "" } else { "." };
                first_difference(format!("{path}{dot}{key}"), one, other)
            })
        }
        (Value::Array(items), Value::Array(others)) if is_reordered(items, others) => {
            Some(Place::reordered(path, one.to_string(), other.to_string()))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(index, (one, other))| {
                first_difference(format!("{path}[{index}]"), one, other)
            })
        }
        // Compared as text, in which 0.0 and -0.0 differ.
        _ => {
            let values = [one.to_string(), other.to_string()];
            (values[0] != values[1]).then(|| Place::new(path, values))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn difference(one: &Value, other: &Value) -> Option<(String, [String; 2])> {
        let place = first_difference(String::new(), one, other)?;
        assert!(!place.is_reordered);
        Some((place.field, place.values))
    }

    #[test]
    fn the_path_leads_to_the_innermost_difference() {
        let found = difference(
            &json!({"at": [1, {"x": 1.5}], "name": "a"}),
            &json!({"at": [1, {"x": 2.5}], "name": "a"}),
        );
        assert_eq!(found, Some(("at[1].x".into(), ["1.5".into(), "2.5".into()])));
    }

    #[test]
    fn lists_of_different_length_and_different_variants_are_shown_as_a_whole() {
        let found = difference(&json!({"list": [1]}), &json!({"list": [1, 2]}));
        assert_eq!(found, Some(("list".into(), ["[1]".into(), "[1,2]".into()])));
        let found = difference(&json!({"On": 1}), &json!("Off"));
        assert_eq!(found.map(|(path, _)| path), Some(String::new()));
    }

    #[test]
    fn lists_of_the_same_items_in_another_order_are_shown_as_such() {
        let place = |one, other| first_difference(String::new(), &one, &other);
        assert_eq!(
            place(json!({"set": [1, 2, 2]}), json!({"set": [2, 1, 2]})),
            Some(Place::reordered("set".into(), "[1,2,2]".into(), "[2,1,2]".into()))
        );
        let other = place(json!([1, 1, 2]), json!([2, 1, 2])).expect("they differ");
        assert_eq!((other.field.as_str(), other.is_reordered), ("[0]", false));
        assert_eq!(place(json!([2, 1]), json!([2, 1])), None);
    }

    #[test]
    fn maps_with_the_same_content_are_shown_in_the_order_in_which_they_iterate() {
        /// A map that iterates as it was written.
        #[derive(Clone, serde::Deserialize)]
        struct Pairs(Vec<(u8, u8)>);
        impl serde::Serialize for Pairs {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_map(self.0.iter().copied())
            }
        }
        let versions = [Some(Pairs(vec![(1, 5), (2, 6)])), Some(Pairs(vec![(2, 6), (1, 5)]))];
        let difference = between(Hashing::by_serializing(), None, &versions).expect("they differ");
        assert_eq!(difference.values, [r#"{"1":5,"2":6}"#, r#"{"2":6,"1":5}"#]);
        assert!(difference.is_reordered);
    }

    #[test]
    fn zeros_of_different_sign_differ_and_equal_trees_do_not() {
        assert!(difference(&json!(0.0), &json!(-0.0)).is_some());
        assert_eq!(difference(&json!([1, "a"]), &json!([1, "a"])), None);
    }
}
