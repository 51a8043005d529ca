import Adapters
import Baking
import Factoring
import Foundation
import Images
import Tensors
import TestSupport
import Testing

/// Proves that what the README shows of the library is what is compiled here, and that it works.
@Suite struct ReadmeTests {
  private let folder: TemporaryFolder
  private let toybox = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Examples/Toybox")

  init() throws { folder = try TemporaryFolder() }

  private func path(_ name: String) -> String { toybox.appending(path: name).standardizedFileURL.path() }

  @Test("Every example stands in the README as it stands here")
  func text() throws {
    let here = URL(filePath: #filePath).deletingLastPathComponent()
    let examples = try String(contentsOf: here.appending(path: "LibraryExamples.swift"), encoding: .utf8)
    let readme = try String(contentsOf: here.appending(path: "../../README.md"), encoding: .utf8)
    let functions = examples.components(separatedBy: "\nfunc ").dropFirst().map {
      "func " + $0.trimmingCharacters(in: .newlines)
    }
    #expect(functions.count == 5)
    for function in functions { #expect(readme.contains(function), "\(function.prefix(40))") }
  }

  @Test func inspecting() throws {
    let rank = try inspect(style: path("adapters/sepia-r64.safetensors"))
    #expect(rank > 0 && rank < 64 * 100)
  }

  @Test func shrinking() throws {
    var random = SplitMix64(seed: 2)
    let up = Tensor(random.gaussians(40 * 8), shape: [40, 8], dtype: .f32)
    let down = Tensor((0..<8 * 30).map { random.gaussian() * pow(0.3, Double($0 / 30)) }, shape: [8, 30], dtype: .f32)
    let small = try shrink(up: up, down: down)
    #expect((1..<8).contains(small.targets[0].rank))
  }

  @Test func merging() throws {
    let output = folder.file("both.safetensors")
    let result = try merge(
      style: path("adapters/sketch.safetensors"), character: path("adapters/lumi.safetensors"), output: output)
    #expect(result.bytes <= 300_000 && result.relativeError < 1 && result.shares.count == 2)
    #expect(try Adapter(path: output).problems.filter(\.isFatal).isEmpty)
  }

  @Test func baking() throws {
    let result = try bake(
      base: path("model"), style: path("adapters/sketch.safetensors"), output: folder.file("baked"),
      undo: folder.file("undo"))
    #expect(try #require(result.total.share) > 0.5 && result.undo != nil)
  }

  @Test func rendering() async throws {
    let output = folder.file("robot.png")
    try await render(base: path("model"), style: path("adapters/sketch.safetensors"), output: output)
    let picture = try PNGPicture(path: output).image
    #expect(picture.width == 64 && picture.height == 64)
  }

  @Test("A task that is cancelled draws no picture")
  func cancelled() async throws {
    let output = folder.file("none.png"), (base, style) = (path("model"), path("adapters/sketch.safetensors"))
    let task = Task { try await render(base: base, style: style, output: output) }
    task.cancel()
    let outcome = await task.result
    #expect(throws: CancellationError.self) { try outcome.get() }
    #expect(!FileManager.default.fileExists(atPath: output))
  }
}
