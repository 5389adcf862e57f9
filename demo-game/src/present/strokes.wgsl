// One stroke of light: a crisp core and a glow that fades out, added to what is behind it.
//
// `uv` is the distance from the stroke's axis, in units of its glow radius: (0, 0) on the axis, length
// 1 where the light ends. So lines are smooth without MSAA, and glow without bloom.

#import bevy_sprite::mesh2d_vertex_output::VertexOutput

struct StrokeMaterial {
    // xy: half of the visible area around the origin, in world units; z: strength of the glow;
    // w: exposure.
    bounds: vec4<f32>,
};

@group(#{MATERIAL_BIND_GROUP}) @binding(0) var<uniform> material: StrokeMaterial;

// The core's share of the glow radius: `CORE_SHARE` of strokes.rs.
const CORE: f32 = 0.22;

@fragment
fn fragment(in: VertexOutput) -> @location(0) vec4<f32> {
    let distance = length(in.uv);
    let soft = max(fwidth(distance), 0.001);
    let core = 1.0 - smoothstep(CORE - soft, CORE + soft, distance);
    let fade = max(1.0 - distance, 0.0);
    let glow = fade * fade * fade * material.bounds.z;

    let edge = material.bounds.xy - abs(in.world_position.xy);
    let inside = step(0.0, min(edge.x, edge.y));

    var light = in.color.rgb * in.color.a * (core + glow) * inside * material.bounds.w;
#ifdef TONEMAP_IN_SHADER
    // Without an HDR target, colours brighter than white would clip to flat primary colours.
    light = vec3(1.0) - exp(-light);
#endif
    return vec4(light, 0.0);
}
