import Audit
import Kernels

@testable import Reports

/// An audit with something of everything, and with names, paths and prompts as strangers might choose them.
extension AuditReport {
  static let script = "<script>alert(1)</script>"
  static let image = "\"><img src=x onerror=alert(2)>"
  /// A quotation mark that is one character with the accent after it.
  static let accent = "\"\u{301} onfocus=alert(3) autofocus x=\""
  static let attribute = "' onmouseover='alert(4)"
  static let pipes = "a | b `c` *d* [e](https://example.org) <f> \\ g\nh"
  static let row = "x, \"y\"\n=1+1"
  static let hostile = [script, image, accent, attribute, pipes, row]

  /// Two prompts at two strengths, two blocks, two adapters on a side.
  static func sample(verdict: String = "different", passed: Bool = false) -> AuditReport {
    let source = Source(
      path: "adapters/\(image).safetensors", bytes: 1_234_567, sha256: String(repeating: "ab", count: 32))
    let adapter = Adapter(file: source, strength: 0.8, textEncoderStrength: 0.5, targets: 12, fitting: 11)
    let scenes = [script, pipes].map {
      AuditScene(
        prompt: $0, negative: $0 == script ? nil : accent, seed: .max, size: MapSize(height: 768, width: 512),
        strengths: [0.5, 1])
    }
    let recipe = Recipe(
      version: "1.2.3", command: ["lathe", "audit", "it's; a base", accent], base: [source],
      family: "Stable Diffusion 1",
      before: Side(label: script, checkpoint: [], adapters: [adapter, adapter]),
      after: Side(label: attribute, checkpoint: [Source(path: row, bytes: 99, sha256: nil)], adapters: []),
      scenes: scenes, sampler: "dpm++2m", steps: 20, cfg: 7.5, rng: "torch", dtype: "bf16")
    return AuditReport(
      verdict: verdict, passed: passed, summary: "They differ: \(script)", reasons: [pipes, "Because."],
      checks: [
        Check(
          name: "weights.relative_error", title: "relative error of the weights", value: 0.031, limit: 0.05,
          isLeast: false, pass: true, null: 0.0002, worst: image, meaning: "What it means.", advice: ""),
        Check(
          name: "pictures.ssimulacra2", title: "likeness \(script)", value: 41.5, limit: 70, isLeast: true, pass: false,
          null: 92, worst: row, meaning: accent, advice: "Do something | else."),
        Check(
          name: "cost.step", title: "time of a step", value: nil, limit: 1.5, isLeast: false, pass: true, null: nil,
          worst: nil, meaning: "Not measured here.", advice: ""),
      ],
      notMeasured: ["memory: \(script)"], warnings: [image], recipe: recipe, weights: weights, probe: probe,
      pictures: scenes.enumerated().flatMap { scene in
        scene.element.strengths.map { picture(scene.element, scene.offset, $0) }
      },
      nulls: [
        Null(
          name: "f16 weights", meaning: script,
          rows: [
            Null.Row(
              prompt: pipes, seed: 7, strength: 1, picture: "pictures/null.png",
              likeness: likeness(.infinity))
          ])
      ],
      costs: [
        Cost(
          name: "base alone", adapters: 0, fileBytes: 0, factorBytes: 0, loadSeconds: 0.5, secondsPerStep: nil,
          extraArithmetic: 0),
        Cost(
          name: script, adapters: 2, fileBytes: 2_000_000, factorBytes: 1_000_000, loadSeconds: 0.75,
          secondsPerStep: 0.125, extraArithmetic: 0.043),
      ],
      spectra: [
        BlockSpectrum(block: script, before: [3, 1, 0.1, 0], after: [2.9, 0.9]),
        BlockSpectrum(block: "empty", before: [], after: []),
      ],
      curve: Curve(
        points: [.init(bytes: 1000, relativeError: 1), .init(bytes: 2_000_000, relativeError: 0)],
        before: .init(bytes: 2_000_000, relativeError: 0), after: .init(bytes: 99, relativeError: 0.4)),
      crossTalk: [
        CrossTalk(source: script, target: image, cosine: nil, output: 0.1, input: 0.45),
        CrossTalk(source: image, target: script, cosine: 0.02, output: 0.05, input: 0.06),
      ], seconds: 300)
  }

  /// What is left when nothing could be measured.
  static var empty: AuditReport {
    let side = Side(label: "nothing", checkpoint: [], adapters: [])
    return AuditReport(
      verdict: "within noise", passed: true, summary: "Nothing differs.", reasons: [], checks: [], notMeasured: [],
      warnings: [],
      recipe: Recipe(
        version: "1.2.3", command: [], base: [], family: "none", before: side, after: side, scenes: [], sampler: "ddim",
        steps: 1, cfg: 1, rng: "torch", dtype: "f32"),
      weights: nil, probe: nil, pictures: [], nulls: [], costs: [], spectra: [], curve: nil, crossTalk: [], seconds: 1)
  }

  /// PNG files of one pixel for all pictures but the last difference.
  static func album(_ report: AuditReport) -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for picture in report.pictures {
      for path in [picture.before, picture.after, picture.difference] { files[path] = pixel }
    }
    for row in report.nulls.flatMap(\.rows) { files[row.picture] = pixel }
    files[report.pictures.last?.difference ?? ""] = nil
    return files
  }

  /// A white pixel.
  private static let pixel: [UInt8] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0x1f, 0x15, 0xc4, 0x89, 0x00, 0x00, 0x00, 0x0d, 0x49,
    0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0xfc, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x09, 0xfb, 0x03, 0xfd, 0x05, 0x43, 0x45,
    0xca, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
  ]

  private static func likeness(_ psnr: Double) -> Likeness {
    Likeness(
      values: ["ssimulacra2": psnr.isInfinite ? 100 : 41.5, "ms_ssim": 0.97, "ssim": 0.95, "psnr": psnr],
      greatestDifference: psnr.isInfinite ? 0 : 200, differingShare: psnr.isInfinite ? 0 : 0.5)
  }

  private static func picture(_ scene: AuditScene, _ index: Int, _ strength: Double) -> Picture {
    let name = "pictures/\(index)|\(image)-\(strength)"
    return Picture(
      prompt: scene.prompt, negative: scene.negative, seed: scene.seed, strength: strength,
      before: "\(name)-before.png",
      after: "\(name)-after.png", difference: "\(name)-difference.png",
      likeness: likeness(strength == 1 ? 21.5 : .infinity), verdict: strength == 1 ? "different" : "within noise")
  }

  private static var weights: Weights {
    func weight(_ name: String, _ block: String, _ error: Double) -> WeightRow {
      WeightRow(
        name: name, block: block, shape: [320, 640, 3, 3], relativeError: error, baseRelativeError: error / 100,
        normBefore: error.isInfinite ? 0 : 2, normAfter: 2, difference: error.isInfinite ? 2 : 2 * error)
    }
    let targets = (0..<30).map { weight("weight.\($0)", "down.0", 0.001 * Double($0 + 1)) }
    return Weights(
      relativeError: 0.031, baseRelativeError: 0.0003, scale: 0.99, cosine: nil, null: 0.0002,
      nullFormat: "bf16", blocks: [weight("down.0", "down.0", 0.02), weight(image, image, 0.04)],
      targets: targets + [weight(row, image, .infinity), weight(script, image, .nan), weight("worst", image, 0.9)])
  }

  private static var probe: Probe {
    Probe(
      size: "512x768", relativeError: 0.01, effectError: 0.05, null: 0.002,
      rows: [script, pipes].flatMap { prompt in
        [981.0, 1].map {
          Probe.Row(prompt: prompt, time: $0, relativeError: 0.01, effectError: .infinity, null: 0.002)
        }
      })
  }
}
