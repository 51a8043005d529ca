import Tensors

extension Family {
  /// A block of a UNet with attention to the text.
  package struct AttentionBlock: Sendable {
    /// As block weights call it: `IN04`.
    package let label: String
    /// The modules of its first transformer block: diffusers' names with underscores for dots, in the map's order.
    package fileprivate(set) var modules: [String]
  }

  /// The blocks of a UNet that its shortest list of block weights names, which has those with attention, in that order.
  package var attentionBlocks: [AttentionBlock] {
    let labels = blockLists.first ?? [], place = ".transformer_blocks.*."
    var blocks = labels.map { AttentionBlock(label: $0, modules: []) }
    for rule in denoiserMaps.flatMap(\.rules) where rule.left.text.includes(place) {
      guard let label = NameMap.blockLabel(of: rule.left.text.underscored, in: denoiserMaps),
        let index = labels.firstIndex(of: label)
      else { continue }
      blocks[index].modules += rule.rights.map { $0.text.replacing("*", with: "0").underscored }
    }
    return blocks.filter { !$0.modules.isEmpty }
  }
}
