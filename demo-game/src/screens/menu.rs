//! The menu: what to play.

use bevy::prelude::*;

use super::choice::Choice;
use super::focus::Focus;
use super::hints::{Device, FLYING, HOW_MANY_BOTS, IN_MENU, OWN_NAME, TWO_HERE, Wording, hint_in};
use super::items::{AdjustedText, Field, Item, spawn_adjuster, spawn_item};
use super::settings::Settings;
use super::title;
use super::widgets::{AtMost, SMALL, Shaped, label, set_text, spawn_page};
use crate::platform;
use crate::present::palette::TEXT_QUIET;
use crate::screen::Screen;

/// Width of the column of items.
const WIDTH: f32 = 400.0;
/// Width of a line that holds the longest explanation.
const EXPLANATION_WIDTH: f32 = 720.0;

/// The line that explains the focused item.
#[derive(Component)]
pub(super) struct Explanation;

pub(super) fn build(mut commands: Commands, screen: Res<Screen>, settings: Res<Settings>) {
    if *screen != Screen::Menu {
        return;
    }
    spawn_page(&mut commands, Screen::Menu, |page| {
        page.spawn(title::space());
        page.spawn((
            AtMost(WIDTH),
            Node { flex_direction: FlexDirection::Column, row_gap: px(2), ..default() },
        ))
        .with_children(|column| spawn_items(column, &settings));
        page.spawn((
            AtMost(EXPLANATION_WIDTH),
            // As tall as the tallest explanation, so that nothing moves with the focus.
            Shaped(|node, is_tall| node.min_height = px(if is_tall { 44 } else { 22 })),
            Node {
                margin: UiRect::top(px(2)),
                justify_content: JustifyContent::Center,
                ..default()
            },
        ))
        .with_child((
            Explanation,
            label("", SMALL, TEXT_QUIET),
            TextLayout::justify(Justify::Center),
        ));
        let lines = Node {
            flex_direction: FlexDirection::Column,
            align_items: AlignItems::Center,
            ..default()
        };
        page.spawn((AtMost(EXPLANATION_WIDTH), lines)).with_children(|lines| {
            for words in [FLYING, IN_MENU] {
                lines.spawn((hint_in(words), TextLayout::justify(Justify::Center)));
            }
        });
    });
}

fn spawn_items(column: &mut ChildSpawnerCommands, settings: &Settings) {
    let items = [
        (Choice::PlayOnline { is_public: settings.is_public }, "Create a room"),
        (Choice::OpenJoin, "Find a room"),
        (Choice::QuickMatch(settings.strangers), "Quick match"),
        (Choice::Host, "Host on this network"),
        (Choice::PlayHere, "Two players here"),
        (Choice::AgainstBots(settings.bots), "Against bots"),
        (Choice::Rename, "Name"),
        (Choice::Quit, "Quit"),
    ];
    for (order, (choice, text)) in (0..).zip(items) {
        let is_possible = match choice {
            Choice::Host => platform::CAN_HOST,
            Choice::Quit => platform::CAN_QUIT,
            _ => true,
        };
        if !is_possible {
            continue;
        }
        let item = spawn_item(column, Item { choice, order }, text);
        if choice == Choice::Rename {
            column.commands().entity(item).insert(Field::name(&settings.name));
        }
        if let Some(text) = adjusted_text(choice) {
            column.commands().entity(item).with_children(|item| spawn_adjuster(item, &text));
        }
    }
}

/// The text between the small buttons of an item, if it has any.
fn adjusted_text(choice: Choice) -> Option<String> {
    match choice {
        Choice::AgainstBots(number) | Choice::QuickMatch(number) => Some(number.to_string()),
        Choice::PlayOnline { is_public: true } => Some("public".to_owned()),
        Choice::PlayOnline { is_public: false } => Some("private".to_owned()),
        _ => None,
    }
}

/// Refreshes the adjusted values, and the explanation of the focused item.
pub(super) fn refresh(
    settings: Res<Settings>,
    (focus, device): (Res<Focus>, Res<Device>),
    mut items: Query<&mut Item>,
    mut texts: Query<(&mut Text, &ChildOf), (With<AdjustedText>, Without<Explanation>)>,
    mut explanation: Query<&mut Text, With<Explanation>>,
) {
    for mut item in &mut items {
        let choice = match item.choice {
            Choice::AgainstBots(_) => Choice::AgainstBots(settings.bots),
            Choice::QuickMatch(_) => Choice::QuickMatch(settings.strangers),
            Choice::PlayOnline { .. } => Choice::PlayOnline { is_public: settings.is_public },
            _ => continue,
        };
        if choice != item.choice {
            item.choice = choice;
        }
    }
    for (mut text, ChildOf(item)) in &mut texts {
        if let Some(words) = items.get(*item).ok().and_then(|item| adjusted_text(item.choice)) {
            set_text(&mut text, &words);
        }
    }
    let focused = focus.entity.and_then(|entity| items.get(entity).ok()).map(|item| item.choice);
    if let Ok(mut text) = explanation.single_mut() {
        set_text(&mut text, focused.map_or("", |choice| explain(choice).on(*device)));
    }
}

fn explain(choice: Choice) -> Wording {
    match choice {
        Choice::PlayOnline { is_public: false } => {
            Wording::same("Opens a room with a link to share. < and > make it public.")
        }
        Choice::PlayOnline { is_public: true } => {
            Wording::same("Opens a room that anyone can find in the list.")
        }
        Choice::OpenJoin => Wording::same(
            "Lists public rooms, and takes the code or the link that a friend gave you.",
        ),
        Choice::QuickMatch(_) => {
            Wording::same("Plays with strangers who want a match of the same size right now.")
        }
        Choice::Host => {
            Wording::same("Opens a room on this machine, for players on the same network.")
        }
        Choice::PlayHere => TWO_HERE,
        Choice::AgainstBots(_) => HOW_MANY_BOTS,
        Choice::Rename => OWN_NAME,
        Choice::Quit => Wording::same("Until next time."),
        _ => Wording::same(""),
    }
}
