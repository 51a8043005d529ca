package import Tensors

extension Family {
  // Families whose networks have the same names, for the rules below that tell them apart.
  package static let sd1 = Family(named: "sd1")!
  package static let sd2 = Family(named: "sd2")!
  package static let sdxl = Family(named: "sdxl")!
  package static let sdxlRefiner = Family(named: "sdxlrefiner")!

  /// The family whose UNet sees texts of this width.
  init?(context width: Int) {
    guard let family = Self.all.first(where: { $0.facts.number("context") == Double(width) }) else { return nil }
    self = family
  }

  /// Works out the family of a denoiser from its weights' names and shapes.
  ///
  /// - Parameters:
  ///   - shapes: of all its tensors.
  ///   - className: of its configuration, if there is one.
  ///   - encoders: names of tensors outside the denoiser, which tell models of unusual width apart.
  package static func detect(shapes: [String: Shape], className: String?, encoders: [String]) -> Family {
    func isThere(_ name: Substring) -> Bool { shapes[String(name)] != nil }
    func isTold(_ family: Family) -> Bool {
      family.facts.all("base").contains { $0.allSatisfy(isThere) }
        && !family.facts.words("base-not").contains(where: isThere)
    }
    let ofClass = className.map { name in all.filter { $0.facts.words("class").contains(name[...]) } } ?? []
    if let last = ofClass.last { return ofClass.count == 1 ? last : ofClass.first(where: isTold) ?? last }
    // A transformer of another class is another model, whatever names it shares.
    if className?.contains("Transformer") == true { return .unknown }
    if let found = all.first(where: isTold) { return found }
    let isUNet = ["input_blocks.0.0.weight", "down_blocks.0.resnets.0.conv1.weight"].contains { shapes[$0] != nil }
    return isUNet ? unet(shapes, encoders) : .unknown
  }

  private static func unet(_ shapes: [String: Shape], _ encoders: [String]) -> Family {
    func has(_ names: [String]) -> Bool { names.contains { shapes[$0] != nil } }
    // By name, so that a file is taken for the same each time.
    func first(_ ending: String) -> Shape? {
      shapes.filter { $0.key.hasSuffix(ending) }.min { $0.key < $1.key }?.value
    }
    // Stable Video Diffusion
    if has(["input_blocks.1.0.time_stack.in_layers.0.weight"]) { return .unknown }
    let context = first(".attn2.to_k.weight")?.extents.last
    if let family = context.flatMap({ Family(context: $0) }) { return family }
    // A model of unusual width: what it is made of tells.
    if has(["label_emb.0.0.weight", "add_embedding.linear_1.weight"]) {
      return has(["input_blocks.10.0.in_layers.0.weight", "down_blocks.3.resnets.0.norm1.weight"])
        ? .sdxlRefiner : .sdxl
    }
    if encoders.contains(where: { $0.hasPrefix("cond_stage_model.model.") }) { return .sd2 }
    let projection = first(".proj_in.weight")
    return projection.map { $0.rank == 4 ? .sd1 : .sd2 } ?? .unknown
  }
}
