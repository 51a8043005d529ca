import Foundation
import Images
import TestSupport
import Testing

/// The example model, its adapters, and the pictures that diffusers makes of them; see `Tests/Goldens/toybox`.
enum Toybox {
  static let model = Goldens.example("Toybox/model")

  static func adapter(_ name: String) -> String {
    let folder = Goldens.example("Toybox/adapters/\(name)")
    return FileManager.default.fileExists(atPath: folder) ? folder : folder + ".safetensors"
  }

  struct Run: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let prompt: String
    let adapters: [String: Double]
    let sampler: String
    let seed: Int
    let steps: Int
    let cfg: Double
    let negative: String?

    var testDescription: String { name }

    /// The adapters as arguments, the strongest first.
    var stack: [String] {
      adapters.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\(Toybox.adapter($0.key))@\($0.value)" }
    }

    func golden() throws -> RGBImage { try PNGPicture(path: Goldens.path("toybox/\(name).png")).image }

    /// Renders the run with a model and adapters that may be other files than its own.
    func render(_ adapters: [String], on model: String = Toybox.model, in folder: TemporaryFolder) throws -> RGBImage {
      let path = folder.file("\(UUID().uuidString).png")
      let run = try Tool.run(
        ["render", model] + adapters + [
          "--prompt", prompt, "--sampler", sampler, "--seed", "\(seed)", "--steps", "\(steps)", "--cfg", "\(cfg)",
          "--size", "128x128", "-o", path,
        ] + (negative.map { ["--negative", $0] } ?? []))
      guard run.status == 0 else { throw Failure(errors: run.errors) }
      return try PNGPicture(path: path).image
    }
  }

  struct Failure: Error { let errors: String }

  static let runs: [Run] = {
    struct Document: Decodable { let runs: [Run] }
    do {
      return try JSONDecoder().decode(Document.self, from: Goldens.data("toybox/runs.json")).runs
    } catch { fatalError("Tests/Goldens/toybox/runs.json: \(error)") }
  }()

  static func run(_ name: String) -> Run {
    guard let run = runs.first(where: { $0.name == name }) else { fatalError("no run \(name)") }
    return run
  }
}

extension RGBImage {
  /// The share of pixels of which a channel differs by more than `levels`.
  func share(of other: RGBImage, differingByMoreThan levels: Int) -> Double {
    precondition(width == other.width && height == other.height)
    let differing = stride(from: 0, to: bytes.count, by: 3).count { start in
      (start..<start + 3).contains { abs(Int(bytes[$0]) - Int(other.bytes[$0])) > levels }
    }
    return Double(differing) / Double(width * height)
  }
}
