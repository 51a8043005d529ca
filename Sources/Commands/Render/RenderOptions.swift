public import ArgumentParser
import Files
import Foundation
public import Kernels
public import Prompts
import Rendering
public import Sampling
import Sheets

extension PromptStyle: ExpressibleByArgument {}
extension SamplerKind: ExpressibleByArgument {}
extension RenderRequest.Generator: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}

extension Precision {
  /// - Throws: `ValidationError` where the processor has no such arithmetic. The reference kernels, where it has no others,
  ///   are f32.
  func requireProcessor() throws {
    guard self == .f32 || NativeBackend.precisions.contains(self) else {
      throw ValidationError(
        "--precision: expected f32 on this processor, found \(rawValue); hint: bf16 needs AVX-512 BF16, AMX or the like"
      )
    }
  }
}

/// What is to be seen.
struct PromptOptions: ParsableArguments {
  @Option(help: ArgumentHelp("What is to be seen; may be given several times.", valueName: "text"))
  var prompt: [String] = []

  @Option(help: ArgumentHelp("Read prompts from a file, one a line; lines with # are comments.", valueName: "file"))
  var prompts: String?

  @Option(
    help: ArgumentHelp(
      "What is not to be seen. For SDXL, none and \"\" are two things: features of zeros, and of an empty text.",
      valueName: "text"))
  var negative: String?

  @Option(help: "Whose rules of weights such as (this:1.2) hold; plain has none, and no tags.")
  var promptStyle = PromptStyle.a1111

  @Option(help: ArgumentHelp("Take texts from this layer of the text encoder, counted from its end.", valueName: "n"))
  var clipSkip = 1

  @Option(help: ArgumentHelp("Look here for adapters of <lora:NAME:0.8>; may be given often.", valueName: "folder"))
  var adapterFolder: [String] = []

  mutating func validate() throws {
    guard !prompt.isEmpty || prompts != nil else {
      throw ValidationError("expected --prompt or --prompts, found neither")
    }
    guard clipSkip >= 1 else { throw ValidationError("--clip-skip: expected at least 1, found \(clipSkip)") }
  }

  /// Those of the command line, then those of the file.
  var all: [String] {
    get throws {
      let all = try prompt + (prompts.map { try Self.lines(of: $0) } ?? [])
      for text in all + [negative ?? ""] where text.unicodeScalars.contains("\0") {
        throw ValidationError("--prompt: expected text, found a character of zero in \(text.debugDescription)")
      }
      return all
    }
  }

  /// Of a file of prompts.
  private static let mostBytes = 16 << 20

  /// A file's lines that are no comments.
  static func lines(of path: String) throws -> [String] {
    guard FileManager.default.fileExists(atPath: path) else { throw RenderError(.noPrompts, path: path) }
    InputFiles.note(path)
    // Not `Data(contentsOf:)`, which wants a size and so reads no pipes.
    guard let file = FileHandle(forReadingAtPath: path) else { throw RenderError(.unreadablePrompts, path: path) }
    var data = Data()
    do {
      while data.count <= mostBytes, let part = try file.read(upToCount: 1 << 20), !part.isEmpty { data += part }
    } catch { throw RenderError(.unreadablePrompts, path: path) }
    guard data.count <= mostBytes else { throw RenderError(.longPrompts(limit: mostBytes), path: path) }
    guard var text = String(validating: data, as: UTF8.self) else { throw RenderError(.promptsNotText, path: path) }
    if text.unicodeScalars.first == "\u{feff}" { text.unicodeScalars.removeFirst() }
    let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
    let prompts = lines.filter { !$0.isEmpty && !$0.hasPrefix("#") }
    guard !prompts.isEmpty else { throw RenderError(.emptyPrompts, path: path) }
    return prompts
  }
}

/// How it is computed.
struct SamplingOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Start the noise from this number.", valueName: "n"))
  var seed: UInt64 = 0

  @Option(help: ArgumentHelp("Render each prompt this often, with the seed, the seed + 1 and so on.", valueName: "n"))
  var batch = 1

  @Option(help: ArgumentHelp("Steps (default: 20; 4 with lcm and tcd).", valueName: "n"))
  var steps: Int?

  @Option(
    help: ArgumentHelp(
      "How closely the prompt is followed (default: 7, SDXL 6; 1 with lcm and tcd). Up to 1 the negative prompt has no "
        + "part in it, and a step takes half the time.", valueName: "x"))
  var cfg: Double?

  @Option(help: ArgumentHelp("Bring back this share of the contrast that a high --cfg adds (0.7).", valueName: "share"))
  var cfgRescale = 0.0

  @Option(help: "How the noise is taken away.")
  var sampler = SamplerKind.euler

  @Option(help: ArgumentHelp("With ddim and tcd: how much of the noise is fresh, 0 to 1.", valueName: "x"))
  var eta: Double?

  @Option(
    help: ArgumentHelp(
      "Width and height, multiples of 8 (default: the model's, 1024x1024 for SDXL). 256x256 to 384x384 render several "
        + "times as fast on a CPU, and are enough to compare adapters.", valueName: "WxH"))
  var size: PictureSize?

  @Option(
    help: "f32, or bf16 where the processor multiplies it: up to twice as fast, but adapters are judged in f32.")
  var precision = Precision.f32

  @Option(help: "Noise like torch's on a CPU (diffusers, ComfyUI), or philox like that of NVIDIA's GPUs (A1111).")
  var rng = RenderRequest.Generator.torch

  @Option(help: "What the UNet predicts, where the file does not say: epsilon or v.")
  var prediction: PredictionKind?

  @Flag(help: "The model was trained down to pure noise (zero terminal SNR).")
  var zeroSnr = false

  @Option(
    help: ArgumentHelp("Decode with this autoencoder: a file, a folder, a checkpoint, or a TAESD.", valueName: "path"))
  var vae: String?

  @Option(name: .customLong("init"), help: ArgumentHelp("Start from this picture, cut to the size.", valueName: "png"))
  var start: String?

  @Option(help: ArgumentHelp("With --init: how much of it is replaced, 0 to 1 (default: 0.75).", valueName: "x"))
  var denoise: Double?

  enum PredictionKind: String, ExpressibleByArgument, CaseIterable {
    case epsilon, v
    var prediction: Prediction { self == .epsilon ? .epsilon : .velocity }
  }

  mutating func validate() throws {
    guard (1...SheetPlan.mostPictures).contains(batch) else {
      throw ValidationError("--batch: expected 1 to \(SheetPlan.mostPictures), found \(batch)")
    }
    guard !seed.addingReportingOverflow(UInt64(batch - 1)).overflow else {
      throw ValidationError("--seed: expected one that leaves room for \(batch) seeds, found \(seed)")
    }
    if let cfg, !(cfg >= 0 && cfg.isFinite) {
      throw ValidationError("--cfg: expected a number of at least 0, found \(cfg)")
    }
    guard cfgRescale >= 0, cfgRescale <= 1 else {
      throw ValidationError("--cfg-rescale: expected a number from 0 to 1, found \(cfgRescale)")
    }
    if let denoise {
      guard start != nil else { throw ValidationError("--denoise: expected --init beside it") }
      guard denoise > 0, denoise <= 1 else {
        throw ValidationError("--denoise: expected a number above 0 and at most 1, found \(denoise)")
      }
    }
    try precision.requireProcessor()
  }

  var stepCount: Int { steps ?? sampler.usualSteps(otherwise: 20) }
  var denoising: Double { denoise ?? 0.75 }
  func scale(for model: PictureModel) -> Double { cfg ?? model.usualGuidance(with: sampler) }
  var seeds: [UInt64] { (0..<UInt64(batch)).map { seed + $0 } }
}

/// Which pictures are made, and where they are seen together.
struct SheetOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "One column for each number, which multiplies all strengths: 0,0.3,0.5,0.8,1.", valueName: "numbers"))
  var sweep: StrengthList?

  @Flag(help: "Columns for the base alone, each adapter alone, and all together; with --sweep at each of its numbers.")
  var grid = false

  @Flag(help: "Of several pictures, write the contact sheet only.")
  var sheetOnly = false

  @Option(
    help: ArgumentHelp("Show the unfinished picture in OUT.preview.png, decoded by this TAESD.", valueName: "file"))
  var preview: String?

  @Option(help: ArgumentHelp("With --preview: after each so many steps (default: 4).", valueName: "n"))
  var previewEvery: Int?

  var columns: SheetPlan.Columns {
    let factors = sweep?.values
    return grid ? .grid(factors ?? [1]) : factors.map { .sweep($0) } ?? .none
  }

  mutating func validate() throws {
    guard previewEvery == nil || preview != nil else {
      throw ValidationError("--preview-every: expected --preview beside it")
    }
    if let previewEvery, previewEvery < 1 {
      throw ValidationError("--preview-every: expected at least 1, found \(previewEvery)")
    }
  }
}

/// `512x768`: width, then height.
struct PictureSize: ExpressibleByArgument {
  let width: Int
  let height: Int

  init(width: Int, height: Int) { (self.width, self.height) = (width, height) }

  init?(argument: String) {
    let numbers = argument.lowercased().split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard numbers.count == 2, let width = numbers[0], let height = numbers[1], width > 0, height > 0 else { return nil }
    self.init(width: width, height: height)
  }

  var text: String { "\(width)x\(height)" }
  var defaultValueDescription: String { text }
}

/// Numbers with commas.
struct StrengthList: ExpressibleByArgument {
  let values: [Double]

  init?(argument: String) {
    let numbers = argument.split(separator: ",", omittingEmptySubsequences: false).map {
      Double($0.trimmingCharacters(in: .whitespaces))
    }
    values = numbers.compactMap { $0 }
    guard !values.isEmpty, values.count == numbers.count, values.allSatisfy(\.isFinite) else { return nil }
  }
}
