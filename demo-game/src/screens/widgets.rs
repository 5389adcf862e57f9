//! The building blocks of all screens, so that they look and behave alike.

use bevy::prelude::*;
use netcode::{NetcodeOverlayPlugin, OverlayState};

use super::scroll::{self, Scrolled};
use crate::present::palette::{CARD, FRAME, TEXT_QUIET};
use crate::screen::{Page, Screen, ScreenRoot};
use crate::view::View;

/// Text sizes, in layout units: a layout unit is 1.3 pixels in a 1280 × 720 window, and 0.64 in a
/// 640 × 360 one.
pub(super) const SMALL: f32 = 17.0;
/// Items and sentences.
pub(super) const NORMAL: f32 = 20.0;
/// Headings.
pub(super) const LARGE: f32 = 30.0;
/// Codes and countdowns.
pub(super) const HUGE: f32 = 56.0;
/// Space between things that belong together.
pub(super) const GAP: f32 = 8.0;
/// Space between a screen and the window's edge.
const EDGE: f32 = 14.0;
/// Width of the network overlay, with its distance from the window's edge: 44 characters of its
/// text.
const OVERLAY_WIDTH: f32 = 350.0;

/// Replaces all characters that the font does not have.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' | '\n' => plain.push(character),
            '\u{2018}' | '\u{2019}' => plain.push('\''),
            '\u{201c}' | '\u{201d}' => plain.push('"'),
            '\u{2010}'..='\u{2015}' => plain.push('-'),
            '\u{2026}' => plain.push_str("..."),
            '\u{a0}' => plain.push(' '),
            '\u{d7}' => plain.push('x'),
            _ => plain.push('?'),
        }
    }
    plain
}

/// Cuts `text` to `most` characters, so that a long name does not push other text away.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let text = plain(text);
    if text.len() <= most { text } else { format!("{}..", &text[..most.saturating_sub(2)]) }
}

/// Names everybody in a sentence: "A, B and C".
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Makes `text` a sentence: with a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}

/// A piece of text.
pub(super) fn label(text: impl AsRef<str>, size: f32, color: Color) -> impl Bundle {
    (
        Text::new(plain(text.as_ref())),
        TextFont { font_size: FontSize::Px(size), ..default() },
        TextColor(color),
    )
}

/// A piece of text with centred lines.
pub(super) fn centred_label(text: impl AsRef<str>, size: f32, color: Color) -> impl Bundle {
    // An address may have no space at which it could be wrapped.
    let layout = TextLayout::new(Justify::Center, LineBreak::WordOrCharacter);
    (label(text, size, color), layout)
}

/// Spawns a screen: a column in the middle of the window, which scrolls if it is taller. It is
/// despawned with its screen.
pub(super) fn spawn_page(
    commands: &mut Commands,
    screen: Screen,
    build: impl FnOnce(&mut ChildSpawnerCommands),
) {
    let full = Node { width: percent(100), height: percent(100), ..default() };
    let scrolled = Node {
        flex_direction: FlexDirection::Column,
        overflow: Overflow::scroll_y(),
        ..full.clone()
    };
    commands.spawn((ScreenRoot, Name::new(format!("{screen:?} screen")), full)).with_children(
        |root| {
            root.spawn((Scrolled, scrolled)).with_children(|scrolled| {
                scrolled.spawn(page()).with_children(build);
            });
            root.spawn(scroll::bar());
        },
    );
}

/// The column. Its margins centre it, and are zero once it is taller than the window: so its top
/// can always be reached.
fn page() -> impl Bundle {
    (
        Page,
        Node {
            width: percent(100),
            flex_direction: FlexDirection::Column,
            flex_shrink: 0.0,
            align_items: AlignItems::Center,
            row_gap: px(GAP),
            margin: UiRect::vertical(auto()),
            padding: UiRect::all(px(EDGE)),
            ..default()
        },
    )
}

/// Moves a screen out of the way of the network overlay, which is at the lower left: to the right
/// of it, or above it if the window is taller than wide.
pub(super) fn make_way(
    overlay: Res<OverlayState>,
    view: Res<View>,
    mut nodes: Query<&mut Node, With<Page>>,
) {
    let (left, top) = match (overlay.is_open, view.is_tall()) {
        (true, false) => (px(OVERLAY_WIDTH), auto()),
        (true, true) => (px(EDGE), px(0)),
        (false, _) => (px(EDGE), auto()),
    };
    for mut node in &mut nodes {
        if (node.padding.left, node.margin.top) != (left, top) {
            (node.padding.left, node.margin.top) = (left, top);
        }
    }
}

/// Makes a node as wide as this many layout units, or as the window if that is narrower.
///
/// `max_width` would not do: the layout measures wrapped text before it applies it, so texts would
/// overlap.
#[derive(Component)]
pub(super) struct AtMost(pub(super) f32);

/// Sets the width of every node with [`AtMost`].
pub(super) fn fit_widths(view: Res<View>, mut nodes: Query<(&AtMost, &mut Node)>) {
    for (most, mut node) in &mut nodes {
        let width = px(most.0.min(view.layout_size().x - 2.0 * EDGE));
        if node.width != width {
            node.width = width;
        }
    }
}

/// Changes a node as the shape of the window requires, which is taller than wide or not: when the
/// node is spawned, and whenever the window turns.
#[derive(Component)]
pub(super) struct Shaped(pub(super) fn(&mut Node, bool));

/// Whether the window was tall when nodes were last shaped.
#[derive(Resource, Default)]
pub(super) struct WasTall(bool);

/// Shapes every node with [`Shaped`].
pub(super) fn fit_shapes(
    view: Res<View>,
    mut was_tall: ResMut<WasTall>,
    mut nodes: Query<(Ref<Shaped>, &mut Node)>,
) {
    let is_tall = view.is_tall();
    let has_turned = std::mem::replace(&mut was_tall.0, is_tall) != is_tall;
    for (shaped, mut node) in &mut nodes {
        if has_turned || shaped.is_added() {
            (shaped.0)(&mut node, is_tall);
        }
    }
}

/// Wraps the children of a node into several lines if the window is tall.
pub(super) fn wrap_if_tall(node: &mut Node, is_tall: bool) {
    node.flex_wrap = if is_tall { FlexWrap::Wrap } else { FlexWrap::NoWrap };
}

/// A frame that is one layout unit wide, but never thinner than a physical pixel: it would vanish.
#[derive(Component)]
pub(super) struct Hairline;

/// Sets the width of every [`Hairline`].
pub(super) fn fit_hairlines(view: Res<View>, mut nodes: Query<&mut Node, With<Hairline>>) {
    let border = UiRect::all(px(view.pixel.max(1.0)));
    for mut node in &mut nodes {
        if node.border != border {
            node.border = border;
        }
    }
}

/// A framed column on a dark background. The network overlay never covers it.
pub(super) fn panel(width: f32) -> impl Bundle {
    (
        (AtMost(width), Hairline),
        GlobalZIndex(NetcodeOverlayPlugin::Z_INDEX + 1),
        Node {
            width: px(width),
            flex_direction: FlexDirection::Column,
            align_items: AlignItems::Stretch,
            row_gap: px(GAP),
            padding: UiRect::axes(px(22), px(18)),
            border_radius: BorderRadius::all(px(10)),
            ..default()
        },
        BackgroundColor(CARD),
        BorderColor::all(FRAME),
    )
}

/// A quiet line that explains.
pub(super) fn hint(text: impl AsRef<str>) -> impl Bundle {
    label(text, SMALL, TEXT_QUIET)
}

/// A thin line between parts.
pub(super) fn divider() -> impl Bundle {
    (
        Node { height: px(2), margin: UiRect::axes(px(0), px(4)), ..default() },
        BackgroundColor(FRAME),
    )
}

/// Sets a text only if it differs: laying out text is expensive.
pub(super) fn set_text(text: &mut Mut<Text>, new: &str) {
    if text.0 != new {
        text.0 = plain(new);
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::Rig;
    use super::*;

    #[test]
    fn a_card_is_opaque_and_in_front_of_the_overlay() {
        let mut world = World::new();
        let card = world.spawn(panel(560.0)).id();
        let depth = world.get::<GlobalZIndex>(card).map_or(0, |index| index.0);
        assert!(depth > NetcodeOverlayPlugin::Z_INDEX, "{depth}");
        let ground = world.get::<BackgroundColor>(card).map_or(0.0, |ground| ground.0.alpha());
        assert!(ground >= 1.0, "{ground}");
    }

    #[test]
    fn a_frame_is_never_thinner_than_a_pixel() {
        for window in [(400, 300), (640, 360), (360, 640), (1280, 720), (2560, 1440)] {
            let mut rig = Rig::new(window);
            rig.show(Screen::Join);
            let world = rig.app.world_mut();
            let mut cards = world.query_filtered::<&ComputedNode, With<Hairline>>();
            let border = cards.single(world).unwrap().border();
            assert!(border.min_inset.min(border.max_inset).min_element() >= 1.0, "{border:?}");
        }
    }

    #[test]
    fn a_card_is_beside_the_overlay_or_above_it() {
        let mut app = App::new();
        app.init_resource::<OverlayState>().init_resource::<View>().add_systems(Update, make_way);
        let page = app.world_mut().spawn(page()).id();
        let mut place = |is_open, window: Vec2| {
            app.world_mut().resource_mut::<OverlayState>().is_open = is_open;
            app.world_mut().resource_mut::<View>().window = window;
            app.update();
            let node = app.world().get::<Node>(page).unwrap();
            (node.padding.left, node.margin.top)
        };
        let (wide, tall) = (Vec2::new(1280.0, 720.0), Vec2::new(390.0, 844.0));
        assert_eq!(place(false, wide), (px(EDGE), auto()));
        assert_eq!(place(true, wide), (px(OVERLAY_WIDTH), auto()));
        assert_eq!(place(true, tall), (px(EDGE), px(0)));
        assert_eq!(place(false, tall), (px(EDGE), auto()));
    }

    #[test]
    fn text_from_strangers_is_reduced_to_characters_of_the_font() {
        assert_eq!(plain("it\u{2019}s \u{2026} \u{1f680}"), "it's ... ?");
        assert_eq!(shortened("a very long name indeed", 10), "a very l..");
        assert_eq!(shortened("日本", 10), "??");
    }

    #[test]
    fn names_are_listed_as_in_a_sentence() {
        let listed =
            |names: &[&str]| listed(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&["Ann"]), "Ann");
        assert_eq!(listed(&["Ann", "Bob"]), "Ann and Bob");
        assert_eq!(listed(&["Ann", "Bob", "Cleo"]), "Ann, Bob and Cleo");
    }

    #[test]
    fn reasons_become_sentences() {
        assert_eq!(sentence("waiting for one more player"), "Waiting for one more player.");
        assert_eq!(sentence("Stop!"), "Stop!");
        assert_eq!(sentence(""), "");
    }
}
