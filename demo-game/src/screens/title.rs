//! The title of the game, drawn with the same strokes of light as everything else.

use bevy::prelude::*;

use super::widgets::{AtMost, hint};
use crate::present::PresentSystems;
use crate::present::palette::{ACCENT, light};
use crate::present::strokes::Strokes;
use crate::screen::Screen;
use crate::view::View;

/// The name of the game, for players.
pub(crate) const GAME_TITLE: &str = "Perihelion";
/// The line below its name.
const SUBTITLE: &str = "a duel around a star";
/// Space for the title at the top of the menu, in layout units.
const SPACE: f32 = 90.0;
/// Size of a letter of the title, in layout units.
const LETTER: Vec2 = Vec2::new(34.0, 48.0);
/// Greatest width of the title, in layout units.
const WIDTH: f32 = 480.0;
/// Distance from one letter to the next, as a multiple of its width.
const ADVANCE: f32 = 1.42;

/// Empty space in the menu's column, in which the title is drawn.
pub(super) fn space() -> impl Bundle {
    (
        AtMost(WIDTH),
        Node {
            height: px(SPACE),
            justify_content: JustifyContent::FlexEnd,
            align_items: AlignItems::Center,
            flex_direction: FlexDirection::Column,
            padding: UiRect::bottom(px(4)),
            ..default()
        },
        TitleSpace,
        children![hint(SUBTITLE)],
    )
}

/// Marks the space for the title.
#[derive(Component)]
struct TitleSpace;

pub(super) fn plugin(app: &mut App) {
    app.add_systems(
        PostUpdate,
        draw_title.in_set(PresentSystems::Draw).run_if(resource_equals(Screen::Menu)),
    );
}

/// The strokes of a letter, in a box of 1 × 1 with the origin at its lower left.
fn letter_strokes(letter: char) -> &'static [&'static [(f32, f32)]] {
    match letter {
        'P' => &[&[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.45), (0.0, 0.45)]],
        'E' => &[&[(1.0, 0.0), (0.0, 0.0), (0.0, 1.0), (1.0, 1.0)], &[(0.0, 0.5), (0.75, 0.5)]],
        'R' => &[
            &[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.45), (0.0, 0.45)],
            &[(0.4, 0.45), (1.0, 0.0)],
        ],
        'I' => &[&[(0.5, 0.0), (0.5, 1.0)]],
        'H' => &[&[(0.0, 0.0), (0.0, 1.0)], &[(1.0, 0.0), (1.0, 1.0)], &[(0.0, 0.5), (1.0, 0.5)]],
        'L' => &[&[(0.0, 1.0), (0.0, 0.0), (1.0, 0.0)]],
        'O' => &[&[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]],
        'N' => &[&[(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)]],
        _ => &[],
    }
}

/// Width of a letter, as a part of [`LETTER`].
fn letter_width(letter: char) -> f32 {
    if letter == 'I' { 0.45 } else { 1.0 }
}

/// All strokes of the title, in layout units around its centre.
fn title_strokes() -> Vec<(Vec2, Vec2)> {
    let letters: Vec<char> = GAME_TITLE.to_uppercase().chars().collect();
    let gap = ADVANCE - 1.0;
    let width: f32 = letters.iter().map(|letter| letter_width(*letter) + gap).sum::<f32>() - gap;
    let mut at = -width * 0.5;
    let mut strokes = Vec::new();
    for letter in letters {
        let inset = (letter_width(letter) - 1.0) * 0.5;
        let place = |(x, y): (f32, f32)| Vec2::new(at + inset + x, y - 0.5) * LETTER;
        for line in letter_strokes(letter) {
            strokes.extend(line.windows(2).map(|ends| (place(ends[0]), place(ends[1]))));
        }
        at += letter_width(letter) + gap;
    }
    strokes
}

fn draw_title(
    view: Res<View>,
    space: Query<(&ComputedNode, &UiGlobalTransform), With<TitleSpace>>,
    mut strokes: ResMut<Strokes>,
) {
    let Ok((node, transform)) = space.single() else { return };
    let scale = node.inverse_scale_factor();
    // Above the subtitle, in the middle of the remaining space.
    let centre = (transform.translation * scale - Vec2::new(0.0, 16.0)) * view.ui_scale;
    // On a narrow phone the letters shrink, so that they fit into the window.
    let fits = ((view.layout_size().x - 48.0) / WIDTH).min(1.0) * view.ui_scale;
    let place = |at: Vec2| view.world_at(centre + at * Vec2::new(1.0, -1.0) * fits);
    for (from, to) in title_strokes() {
        strokes.overlay.line(place(from), place(to), 3.0, light(ACCENT, 1.4));
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::Rig;
    use super::*;

    #[test]
    fn the_title_is_in_its_place_in_the_first_frame_after_a_resize() {
        let mut rig = Rig::new((1280, 720));
        let title = |rig: &mut Rig| {
            *rig.resource::<Strokes>() = Strokes::default();
            rig.app.update();
            rig.resource::<Strokes>().overlay.points().to_vec()
        };
        let before = title(&mut rig);
        rig.resize((360, 640));
        let first = title(&mut rig);
        rig.settle();
        assert_ne!(first, before);
        assert_eq!(first, title(&mut rig));
    }

    #[test]
    fn every_letter_of_the_title_can_be_drawn() {
        assert!(GAME_TITLE.to_uppercase().chars().all(|letter| !letter_strokes(letter).is_empty()));
    }

    #[test]
    fn the_title_is_centred_and_fits_the_narrowest_layout() {
        let points: Vec<f32> =
            title_strokes().iter().flat_map(|(from, to)| [from.x, to.x]).collect();
        let (least, most) = points
            .iter()
            .fold((0.0_f32, 0.0_f32), |(least, most), x| (least.min(*x), most.max(*x)));
        assert!((least + most).abs() < 1.0, "{least} {most}");
        assert!(most - least <= WIDTH, "{}", most - least);
    }
}
