import ArgumentParser
import Calibrating
import Checkpoints
import Files
import Rendering
import Reports

struct SensitivityCommand: LatheCommand {
  static let configuration = CommandConfiguration(
    commandName: "sensitivity",
    abstract: "Measures how much a base's pictures feel an error in each of its layers.",
    discussion: """
      Noise is added to the weights of a part of the model, and it predicts once more. What comes
      out is a property of the base: resize and merge use it with --weigh pictures, for every
      adapter. Measured once, it is found beside the base. A run that was stopped goes on.

      Examples:
        lathe sensitivity sd15.safetensors
        lathe sensitivity sd15.safetensors -o sd15.sensitivity.json --prompts prompts.txt --each
      """)

  @Argument(help: "The base checkpoint: a file, an index of shards, or a folder.")
  var base: String

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Write the table here (default: beside the base, as NAME.sensitivity.json).", valueName: "file"))
  var output: String?

  @Flag(help: "Replace a file that exists.")
  var force = false

  @Flag(help: "Measure every layer by itself rather than layers of one kind together: a little better, and longer.")
  var each = false

  @OptionGroup var scenes: SceneOptions

  @Option(
    help: ArgumentHelp("Width and height of pictures (default: the model's, but at most 256).", valueName: "WxH"))
  var pictureSize: PictureSize?

  @OptionGroup var common: CommonOptions

  var usesEngine: Bool { true }
  var multiplies: Bool { true }

  func execute() throws -> Outcome {
    let checkpoint = try Checkpoint(path: base), model = try PictureModel(checkpoint)
    let path = output ?? SensitivityTable.usualPath(for: checkpoint)
    try TemporaryFile.checkDestination(path, overwriting: force)
    var wanted = scenes
    if !scenes.hasPrompts { wanted.prompt = SensitivityRun.usualPrompts }
    let calibration = try Calibration(wanted, model, checkpoint, size: pictureSize, common: common)
    let hashes = SensitivityTable.hashes(of: checkpoint)
    let partial = try PartialSensitivities(path: path + ".partial", .init(calibration, hashes: hashes, isEach: each))
    let table = try SensitivityRun(base: checkpoint, model: model, hashes: hashes, common: common).measured(
      calibration, isEach: each, partial: partial)
    try writeSideFile(try table.jsonText(), to: path, overwriting: force)
    partial.remove()
    try common.show(table, text: SensitivityReport(table, path: path).text(width: Console.width))
    return .done
  }
}
