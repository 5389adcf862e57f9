//! Vector lines: strokes of light are collected each rendered frame and drawn as one mesh per
//! layer.
//!
//! One draw call for each layer costs the same for one shot and for three hundred, in WebGL2 too.
//! The shader computes the core of a line and its glow from the distance to its axis, so no MSAA is
//! needed.

use bevy::asset::{RenderAssetUsages, embedded_asset};
use bevy::camera::visibility::NoFrustumCulling;
use bevy::mesh::{Indices, MeshVertexBufferLayoutRef, PrimitiveTopology};
use bevy::prelude::*;
use bevy::reflect::TypePath;
use bevy::render::render_resource::{
    AsBindGroup, BlendComponent, BlendFactor, BlendOperation, BlendState, RenderPipelineDescriptor,
    SpecializedMeshPipelineError,
};
use bevy::shader::ShaderRef;
use bevy::sprite_render::{AlphaMode2d, Material2d, Material2dKey, Material2dPlugin};

/// The core's share of the glow radius: `CORE` of strokes.wgsl.
const CORE_SHARE: f32 = 0.22;
/// A corner sticks out by at most this many half widths: without a limit, acute angles would have
/// needles.
const MITRE_LIMIT: f32 = 2.5;
/// The bounds of a layer that is not clipped: more than any window shows.
const UNBOUNDED: f32 = 1.0e6;
/// Strength of the glow in the shader, in addition to bloom.
const GLOW: f32 = 0.2;
/// Strength of the glow in the shader without bloom.
const GLOW_ALONE: f32 = 0.5;
/// Exposure before the HDR target's tone mapping, which maps 1.0 to only a half.
const HDR_EXPOSURE: f32 = 1.9;

/// Collects and draws strokes.
pub(super) struct StrokesPlugin;

impl Plugin for StrokesPlugin {
    fn build(&self, app: &mut App) {
        embedded_asset!(app, "strokes.wgsl");
        app.add_plugins(Material2dPlugin::<StrokeMaterial>::default())
            .init_resource::<Strokes>()
            .add_systems(Startup, spawn_layers);
    }
}

/// How the strokes of one layer are drawn: their light is added to what is behind them.
#[derive(Asset, TypePath, AsBindGroup, Clone, Debug)]
pub(super) struct StrokeMaterial {
    /// xy: half of the visible area; z: strength of the glow; w: exposure. A whole vec4, because
    /// WebGL2 requires 16 bytes.
    #[uniform(0)]
    bounds: Vec4,
}

impl Material2d for StrokeMaterial {
    fn fragment_shader() -> ShaderRef {
        "embedded://demo_game/present/strokes.wgsl".into()
    }

    fn alpha_mode(&self) -> AlphaMode2d {
        AlphaMode2d::Blend
    }

    fn specialize(
        descriptor: &mut RenderPipelineDescriptor,
        _layout: &MeshVertexBufferLayoutRef,
        _key: Material2dKey<Self>,
    ) -> Result<(), SpecializedMeshPipelineError> {
        let add = BlendComponent {
            src_factor: BlendFactor::One,
            dst_factor: BlendFactor::One,
            operation: BlendOperation::Add,
        };
        for target in
            descriptor.fragment.iter_mut().flat_map(|fragment| &mut fragment.targets).flatten()
        {
            target.blend = Some(BlendState { color: add, alpha: add });
        }
        Ok(())
    }
}

/// The strokes of this rendered frame, by layer. Cleared after each upload.
#[derive(Resource, Default)]
pub(crate) struct Strokes {
    /// Strokes in the arena, clipped to it.
    pub(super) arena: Layer,
    /// Strokes over everything else, at positions in the window: the title, the touch controls.
    pub(crate) overlay: Layer,
}

/// The mesh under construction of one layer.
#[derive(Default)]
pub(crate) struct Layer {
    positions: Vec<[f32; 3]>,
    uvs: Vec<[f32; 2]>,
    colors: Vec<[f32; 4]>,
    indices: Vec<u32>,
    /// Factor on all widths. It keeps lines visible when the arena is drawn small.
    pub(super) width_factor: f32,
}

impl Layer {
    /// The corners of everything that was drawn so far.
    #[cfg(test)]
    pub(crate) fn points(&self) -> &[[f32; 3]] {
        &self.positions
    }

    /// A single segment with round ends; `width` is that of the core.
    pub(crate) fn line(&mut self, from: Vec2, to: Vec2, width: f32, color: LinearRgba) {
        self.tapered(from, to, (width, width), (color, color));
    }

    /// A segment whose width and colour change from its first to its last point: streaks, flames.
    pub(super) fn tapered(
        &mut self,
        from: Vec2,
        to: Vec2,
        widths: (f32, f32),
        colors: (LinearRgba, LinearRgba),
    ) {
        let along = (to - from).normalize_or(Vec2::X);
        let across = along.perp();
        let (start, end) = (self.radius(widths.0), self.radius(widths.1));
        let first = self.next_index();
        for (centre, radius, color, outward) in [
            (from, start, colors.0, -1.0),
            (from, start, colors.0, 0.0),
            (to, end, colors.1, 0.0),
            (to, end, colors.1, 1.0),
        ] {
            for side in [-1.0, 1.0] {
                let place = centre + (along * outward + across * side) * radius;
                self.vertex(place, Vec2::new(outward, side), color);
            }
        }
        for quad in 0..3 {
            self.quad(first + quad * 2);
        }
    }

    /// A closed outline with mitred corners.
    pub(super) fn outline(&mut self, points: &[Vec2], width: f32, color: LinearRgba) {
        let count = points.len();
        if count < 2 {
            return;
        }
        let radius = self.radius(width);
        let first = self.next_index();
        // The first corner is repeated at the end, so that the indices need not wrap around.
        for corner in 0..=count {
            let at = points[corner % count];
            let before = (at - points[(corner + count - 1) % count]).normalize_or(Vec2::X);
            let after = (points[(corner + 1) % count] - at).normalize_or(Vec2::X);
            let mitre = (before.perp() + after.perp()).normalize_or(before.perp());
            let stretch = (1.0 / mitre.dot(before.perp()).max(0.05)).min(MITRE_LIMIT);
            for side in [-1.0, 1.0] {
                self.vertex(at + mitre * (radius * stretch * side), Vec2::new(0.0, side), color);
            }
        }
        let corners = u32::try_from(count).unwrap_or(0);
        for corner in 0..corners {
            self.quad(first + corner * 2);
        }
    }

    /// A closed outline of separate lines: for acute corners, where a mitre would cross itself.
    pub(super) fn polygon(&mut self, points: &[Vec2], width: f32, color: LinearRgba) {
        for (index, from) in points.iter().enumerate() {
            self.line(*from, points[(index + 1) % points.len()], width, color);
        }
    }

    /// A circle as an outline; larger circles have more sides.
    pub(super) fn circle(&mut self, centre: Vec2, radius: f32, width: f32, color: LinearRgba) {
        self.arc(centre, radius, (0.0, 1.0), width, color);
    }

    /// Part of a circle: `from` and `to` are in turns, counted from +x; a whole turn closes it.
    pub(super) fn arc(
        &mut self,
        centre: Vec2,
        radius: f32,
        (from, to): (f32, f32),
        width: f32,
        color: LinearRgba,
    ) {
        let sides = ((radius * (to - from).abs()) * 0.6).clamp(28.0, 160.0).ceil();
        let points = (0..=sides as usize).map(|side| {
            centre
                + Vec2::from_angle(
                    (from + (to - from) * side as f32 / sides) * std::f32::consts::TAU,
                ) * radius
        });
        let half_width = self.radius(width);
        let first = self.next_index();
        let mut count = 0;
        for point in points {
            let outward = (point - centre).normalize_or(Vec2::X);
            for side in [-1.0, 1.0] {
                self.vertex(point + outward * (half_width * side), Vec2::new(0.0, side), color);
            }
            count += 1;
        }
        for side in 0..count - 1 {
            self.quad(first + side * 2);
        }
    }

    /// A round spot of light: crisp core of `radius`, glow around it.
    pub(super) fn dot(&mut self, centre: Vec2, radius: f32, color: LinearRgba) {
        self.blob(centre, radius / CORE_SHARE, 1.0, color);
    }

    /// Light alone, without a core: fades out towards `radius`.
    pub(super) fn haze(&mut self, centre: Vec2, radius: f32, color: LinearRgba) {
        // A fan of triangles whose uv begins outside the core.
        let first = self.next_index();
        const SIDES: u32 = 48;
        self.vertex(centre, Vec2::new(CORE_SHARE * 1.6, 0.0), color);
        for side in 0..=SIDES {
            let direction = Vec2::from_angle(side as f32 / SIDES as f32 * std::f32::consts::TAU);
            self.vertex(centre + direction * radius, Vec2::new(1.0, 0.0), color);
        }
        for side in 0..SIDES {
            self.indices.extend([first, first + side + 1, first + side + 2]);
        }
    }

    fn blob(&mut self, centre: Vec2, radius: f32, reach: f32, color: LinearRgba) {
        let first = self.next_index();
        for corner in
            [Vec2::new(-1.0, -1.0), Vec2::new(-1.0, 1.0), Vec2::new(1.0, -1.0), Vec2::new(1.0, 1.0)]
        {
            self.vertex(centre + corner * radius, corner * reach, color);
        }
        self.quad(first);
    }

    /// Glow radius of a line whose core is `width` wide.
    fn radius(&self, width: f32) -> f32 {
        let factor = if self.width_factor > 0.0 { self.width_factor } else { 1.0 };
        width * 0.5 * factor / CORE_SHARE
    }

    fn next_index(&self) -> u32 {
        u32::try_from(self.positions.len()).expect("a frame has far fewer than 2^32 vertices")
    }

    fn vertex(&mut self, place: Vec2, uv: Vec2, color: LinearRgba) {
        self.positions.push([place.x, place.y, 0.0]);
        self.uvs.push(uv.to_array());
        self.colors.push(color.to_f32_array());
    }

    /// Two triangles over the vertices `first..first + 4`.
    fn quad(&mut self, first: u32) {
        self.indices.extend([first, first + 1, first + 2, first + 2, first + 1, first + 3]);
    }

    /// Makes a mesh of the collected strokes. Leaves the layer empty, and keeps its memory for the
    /// next frame.
    pub(super) fn take_mesh(&mut self) -> Mesh {
        if self.positions.is_empty() {
            // An empty vertex buffer is an error for the GPU.
            for _ in 0..4 {
                self.vertex(Vec2::ZERO, Vec2::ONE, LinearRgba::NONE);
            }
            self.quad(0);
        }
        let (vertices, indices) = (self.positions.capacity(), self.indices.capacity());
        let mut mesh = Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::RENDER_WORLD);
        mesh.insert_attribute(
            Mesh::ATTRIBUTE_POSITION,
            std::mem::replace(&mut self.positions, Vec::with_capacity(vertices)),
        );
        mesh.insert_attribute(
            Mesh::ATTRIBUTE_UV_0,
            std::mem::replace(&mut self.uvs, Vec::with_capacity(vertices)),
        );
        mesh.insert_attribute(
            Mesh::ATTRIBUTE_COLOR,
            std::mem::replace(&mut self.colors, Vec::with_capacity(vertices)),
        );
        mesh.insert_indices(Indices::U32(std::mem::replace(
            &mut self.indices,
            Vec::with_capacity(indices),
        )));
        mesh
    }
}

/// The drawn layers.
#[derive(Resource)]
pub(super) struct LayerHandles {
    arena: Handle<Mesh>,
    overlay: Handle<Mesh>,
    sky: Handle<Mesh>,
    arena_material: Handle<StrokeMaterial>,
    open_material: Handle<StrokeMaterial>,
}

fn spawn_layers(
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<StrokeMaterial>>,
) {
    let mut empty = || meshes.add(Layer::default().take_mesh());
    let open = Vec4::new(UNBOUNDED, UNBOUNDED, GLOW, HDR_EXPOSURE);
    let handles = LayerHandles {
        arena: empty(),
        overlay: empty(),
        sky: empty(),
        arena_material: materials.add(StrokeMaterial { bounds: open }),
        open_material: materials.add(StrokeMaterial { bounds: open }),
    };
    for (mesh, material, height) in [
        (&handles.sky, &handles.open_material, 0.0),
        (&handles.arena, &handles.arena_material, 1.0),
        (&handles.overlay, &handles.open_material, 2.0),
    ] {
        commands.spawn((
            Mesh2d(mesh.clone()),
            MeshMaterial2d(material.clone()),
            Transform::from_xyz(0.0, 0.0, height),
            NoFrustumCulling,
        ));
    }
    commands.insert_resource(handles);
}

/// Puts the strokes of this frame on the screen.
pub(super) fn upload_strokes(
    handles: Res<LayerHandles>,
    mut strokes: ResMut<Strokes>,
    mut meshes: ResMut<Assets<Mesh>>,
) -> Result {
    meshes.insert(&handles.arena, strokes.arena.take_mesh())?;
    meshes.insert(&handles.overlay, strokes.overlay.take_mesh())?;
    Ok(())
}

/// Replaces the background, which is drawn in every frame but hardly ever changes.
pub(super) fn upload_sky(
    handles: &LayerHandles,
    mut layer: Layer,
    meshes: &mut Assets<Mesh>,
) -> Result {
    meshes.insert(&handles.sky, layer.take_mesh())?;
    Ok(())
}

/// Clips the arena's layer to `half_extent` around the origin (`None`: not at all), and makes
/// strokes glow more if there is no bloom.
pub(super) fn set_layer_looks(
    handles: &LayerHandles,
    materials: &mut Assets<StrokeMaterial>,
    half_extent: Option<Vec2>,
    has_bloom: bool,
) {
    let (glow, exposure) = if has_bloom { (GLOW, HDR_EXPOSURE) } else { (GLOW_ALONE, 1.0) };
    let half = half_extent.unwrap_or(Vec2::splat(UNBOUNDED));
    for (handle, extent) in
        [(&handles.arena_material, half), (&handles.open_material, Vec2::splat(UNBOUNDED))]
    {
        let bounds = extent.extend(glow).extend(exposure);
        if materials.get(handle).is_some_and(|material| material.bounds != bounds)
            && let Some(mut material) = materials.get_mut(handle)
        {
            material.bounds = bounds;
        }
    }
}
