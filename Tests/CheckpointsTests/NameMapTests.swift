import Tensors
import TestSupport
import Testing

@testable import Checkpoints
@testable import Models

@Suite struct NameMapTests {
  @Test func everyMapIsWellFormed() {
    for family in Family.all {
      for component in Component.allCases { for map in family.maps(of: component) { #expect(!map.rules.isEmpty) } }
    }
  }

  /// A rule without a counterpart on its other side could never be used.
  @Test func placesAgreeOnBothSides() {
    for map in Family.all.flatMap({ family in Component.allCases.flatMap { family.maps(of: $0) } }) {
      for rule in map.rules {
        for right in rule.rights {
          let places = [rule.left, right].map { pattern in
            pattern.parts.filter { if case .text = $0 { false } else { true } }
          }
          #expect(places[0] == places[1], "\(map.name): \(rule.left.parts)")
        }
      }
    }
  }

  // MARK: Patterns

  private func match(_ pattern: String, _ name: String) -> [String]? {
    NamePattern(pattern).match(Array(name.utf8)[...])?.map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func patterns() {
    #expect(match("a.b", "a.b") == [])
    #expect(match("a.b", "a.bc") == nil)
    #expect(match("a.b", "a") == nil)
    #expect(match("a.*.b.*", "a.12.b.3") == ["12", "3"])
    #expect(match("a.*.b", "a..b") == nil)
    #expect(match("a.*.b", "a.x.b") == nil)
    #expect(match("a.*", "a.1x") == nil)
    #expect(match("a.**", "a.b.c") == ["b.c"])
    #expect(match("a.**", "a.") == nil)
    #expect(match("a.*.**", "a.7.b") == ["7", "b"])
    // A last block is no block before the model is known.
    #expect(match("a.$.b", "a.1.b") == nil)
    let bound = NamePattern("a.$.b.*").binding(last: 11)
    #expect(bound.match(Array("a.11.b.2".utf8)[...])?.count == 1)
    #expect(bound.match(Array("a.1.b.2".utf8)[...]) == nil)
  }

  @Test func namesFromPatterns() {
    let values = NamePattern("a.*.b.**").match(Array("a.12.b.c.d".utf8)[...])!
    #expect(NamePattern("x.*_**").name(values) == "x.12_c.d")
    #expect(NamePattern("x.*.y").flattened.match(Array("x_3_y".utf8)[...])?.count == 1)
    #expect(NamePattern("x.*.y").beginning == Array("x.".utf8))
  }

  // MARK: Rules

  private func namespace(_ shapes: [(String, Shape)]) -> Namespace {
    var result = Namespace()
    for (index, (name, shape)) in shapes.enumerated() { result.add(name, NamedWeight(stored: index, shape: shape)) }
    return result
  }

  private func rows(_ weight: NamedWeight?) -> [Range<Int>]? { weight?.pieces.map(\.storedRows) }

  @Test func equalParts() {
    let map = NameMap(name: "test", text: "a.*.qkv  b.*.{q,k,v}")
    let right = namespace([("a.0.qkv.weight", [6, 4]), ("a.0.qkv.bias", [6])]).translatedToRight(map)
    #expect(rows(right.weights["b.0.q.weight"]) == [0..<2])
    #expect(rows(right.weights["b.0.v.weight"]) == [4..<6])
    #expect(rows(right.weights["b.0.k.bias"]) == [2..<4])
    #expect(right.weights["b.0.k.weight"]?.shape == [2, 4])
    // Rows that cannot be cut give no weight rather than a wrong one.
    #expect(namespace([("a.0.qkv.weight", [7, 4])]).translatedToRight(map).names.isEmpty)
  }

  @Test func partsOfTheInputsSize() {
    let map = NameMap(name: "test", text: "a  {q,k,rest} rows:in,in,rest\nb  q2 + k2 + v2 rows:in,rest,rest")
    let right = namespace([("a.bias", [11]), ("a.weight", [11, 4]), ("b.weight", [8, 4]), ("c.weight", [1, 1])])
      .translatedToRight(map)
    #expect(rows(right.weights["rest.weight"]) == [8..<11])
    // A bias does not know how many inputs there are: its matrix does.
    #expect(rows(right.weights["k.bias"]) == [4..<8])
    #expect(rows(right.weights["k2.weight"]) == [4..<6])
    #expect(right.weights["c.weight"]?.pieces.first?.stored == 3)
    #expect(namespace([("a.bias", [12])]).translatedToRight(map).names.isEmpty)
    #expect(namespace([("a.weight", [7, 4])]).translatedToRight(map).names.isEmpty)
  }

  @Test func joinedParts() {
    let map = NameMap(name: "test", text: "qkv  {q,k,v} rows:in,rest,rest")
    let left = namespace([("q.weight", [4, 4]), ("k.weight", [2, 4]), ("v.weight", [2, 4])]).translatedToLeft(map)
    #expect(left.names == ["qkv.weight"])
    #expect(left.weights["qkv.weight"]?.shape == [8, 4])
    #expect(left.weights["qkv.weight"]?.pieces.map(\.ownRows) == [0..<4, 4..<6, 6..<8])
    // A part that is missing, or of another width, leaves nothing to join.
    #expect(namespace([("q.weight", [4, 4]), ("k.weight", [2, 4])]).translatedToLeft(map).names.isEmpty)
    let uneven = namespace([("q.weight", [4, 4]), ("k.weight", [2, 4]), ("v.weight", [2, 5])])
    #expect(uneven.translatedToLeft(map).names.isEmpty)
  }

  @Test func lastBlock() {
    let map = NameMap(name: "test", text: "a.$.x  b.$.y swap\na.*.x  b.*.y")
    let names = (0..<11).map { ("a.\($0).x.weight", Shape([4, 2])) }
    let right = namespace(names).translatedToRight(map)
    #expect(right.weights["b.10.y.weight"]?.pieces[0].swapsHalves == true)
    #expect(right.weights["b.9.y.weight"]?.pieces[0].swapsHalves == false)
    let left = namespace(names.map { ($0.0.replacing("a", with: "b").replacing("x", with: "y"), $0.1) })
      .translatedToLeft(map)
    #expect(left.weights["a.10.x.weight"]?.pieces[0].swapsHalves == true)
    #expect(left.weights["a.9.x.weight"]?.pieces[0].swapsHalves == false)
    #expect(namespace([("a.0.x.weight", [3, 2])]).translatedToRight(map).names.isEmpty)
  }

  @Test func transposedTensors() {
    let map = NameMap(name: "test", text: "p  p.weight tensor transposed")
    let weight = namespace([("p", [2, 3])]).translatedToRight(map).weights["p.weight"]
    #expect(weight?.shape == [3, 2])
    #expect(weight?.pieces[0].isTransposed == true)
    let back = namespace([("p.weight", [3, 2])]).translatedToLeft(map).weights["p"]
    #expect(back?.shape == [2, 3])
    // A tensor's rule is about its whole name.
    #expect(namespace([("p.bias", [2])]).translatedToRight(map).names == ["p.bias"])
  }

  @Test func tables() {
    let text = "# comment\nparts t\n  x  y\n  m.qk  n.{q,k}\n\na.*.<t>  b.*.<t>\nc.<t>  d.<t>"
    let map = NameMap(name: "test", text: text)
    #expect(map.rules.count == 4)
    let right = namespace([("a.3.x.weight", [2, 2]), ("c.m.qk.weight", [4, 2])]).translatedToRight(map)
    #expect(Set(right.names) == ["b.3.y.weight", "d.n.q.weight", "d.n.k.weight"])
  }

  @Test func sidesAreCounted() {
    let map = NameMap(name: "test", text: "same  same\na.*  b.*")
    let counts = namespace([("same.weight", [1]), ("a.0.weight", [1]), ("a.1.weight", [1]), ("b.0.weight", [1])])
      .count(of: map)
    #expect(counts.left == 2)
    #expect(counts.right == 1)
  }

  // MARK: What no golden has

  @Test(arguments: [
    (Family.wan.denoiserMaps[0], "img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
    (Family.pixart.denoiserMaps[0], "blocks.0.attn.q_norm.bias", "transformer_blocks.0.attn1.q_norm.bias"),
  ])
  func rareNames(map: NameMap, left: String, right: String) {
    #expect(namespace([(left, [1, 2, 3])]).translatedToRight(map).names == [right])
    #expect(namespace([(right, [1, 2, 3])]).translatedToLeft(map).names == [left])
  }

  /// The same layer is called by its use in diffusers: SDXL's sizes, or the classes of other UNets.
  @Test func classEmbedding() {
    for name in ["add_embedding", "class_embedding"] {
      let left = namespace([("\(name).linear_1.weight", [2, 2])]).translatedToLeft(.stableDiffusionUNet)
      #expect(left.names == ["label_emb.0.0.weight"])
    }
    #expect(
      namespace([("label_emb.weight", [2, 2])]).translatedToRight(.stableDiffusionUNet).names
        == ["class_embedding.weight"])
  }
}
