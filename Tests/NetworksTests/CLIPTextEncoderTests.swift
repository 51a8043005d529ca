import Checkpoints
import Kernels
import Tensors
import TestSupport
import Testing

@testable import Networks

@Suite struct CLIPTextEncoderTests {
  /// A fixture, what its summaries are taken at, and whether its file is the one in OpenCLIP's layout.
  struct Fixture: Sendable, CustomStringConvertible {
    let name: String
    let end: Int32
    var isOpenCLIP = false
    var description: String { name + (isOpenCLIP ? ", OpenCLIP's layout" : "") }
  }

  static let fixtures = [
    Fixture(name: "clip-quick-gelu", end: 999), Fixture(name: "clip-projection", end: 998),
    Fixture(name: "clip-projection", end: 998, isOpenCLIP: true), Fixture(name: "clip-bare-names", end: 999),
    Fixture(name: "clip-faint", end: 999),
  ]

  private func texts(_ tensor: Tensor) -> [[Int32]] {
    let ids = tensor.doubles().map { Int32($0) }, count = tensor.shape.extents[1]
    return (0..<tensor.shape.extents[0]).map { Array(ids[$0 * count..<($0 + 1) * count]) }
  }

  @Test("agrees with transformers, layer by layer", arguments: fixtures, TestedBackend.allCases)
  func agrees(_ fixture: Fixture, _ kind: TestedBackend) throws {
    let golden = try NetworkGolden(fixture.name), hasProjection = fixture.name == "clip-projection"
    let folder = Goldens.path("diffusion/\(fixture.name)/text_encoder")
    let fields = try configurationFields("\(folder)/config.json")
    let checkpoint = try Checkpoint(
      path: fixture.isOpenCLIP ? Goldens.path("diffusion/\(fixture.name)/open_clip.safetensors") : folder)
    try KernelThread.run {
      let backend = kind.make()
      let configuration = try CLIPConfiguration(fields, file: fixture.name, hasProjection: hasProjection)
      let encoder = try CLIPTextEncoder(configuration, weights: checkpoint, .textEncoder1, backend: backend)
      let limit = (fixture.name == "clip-faint" ? 2e-6 : 2e-5) * kind.leniency
      for test in golden.cases {
        let ids = texts(try golden.input("\(test)/ids")), states = encoder.hiddenStates(of: ids)
        #expect(states.count == configuration.layers + 1)
        func expect(_ found: [Float], _ what: String) throws {
          let expected = try golden.output("\(test)/\(what)").floats()
          let size = expected.reduce(1) { max($0, abs($1)) }, difference = largestDifference(found, expected)
          #expect(difference <= limit * size, "\(test)/\(what): \(difference) of \(size)")
        }
        for (index, state) in states.enumerated() where golden.hasOutput("\(test)/hidden.\(index)") {
          try expect(state.values, "hidden.\(index)")
        }
        let last = try #require(states.last)
        try expect(encoder.normalized(last).values, "last")
        try expect(encoder.normalized(states[states.count - 2]).values, "penultimate_with_norm")
        let summaries = encoder.summaries(of: last, ids: ids, end: fixture.end)
        #expect(summaries.count == ids.count)
        try expect(summaries.flatMap { $0 }, hasProjection ? "projected" : "pooled")
      }
    }
  }

  @Test("the end is the first of its id")
  func firstEnd() throws {
    let golden = try NetworkGolden("clip-quick-gelu")
    let checkpoint = try Checkpoint(path: golden.model)
    let fields = try configurationFields("\(golden.model)/config.json")
    try KernelThread.run {
      let backend = TestedBackend.native.make()
      let configuration = try CLIPConfiguration(fields, file: golden.name, hasProjection: false)
      let encoder = try CLIPTextEncoder(configuration, weights: checkpoint, .textEncoder1, backend: backend)
      let ids: [[Int32]] = [[998, 5, 999, 7, 999], [998, 999, 999, 999, 999]]
      let states = encoder.hiddenStates(of: ids), last = try #require(states.last)
      let normal = encoder.normalized(last).values, width = configuration.channels
      let summaries = encoder.summaries(of: last, ids: ids, end: 999)
      #expect(summaries[0] == Array(normal[2 * width..<3 * width]))
      #expect(summaries[1] == Array(normal[6 * width..<7 * width]))
    }
  }
}
