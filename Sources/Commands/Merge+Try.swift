import Adapters
import ArgumentParser
import Audit
import Checkpoints
import Factoring
import Files
import Images
import Merging
import Rendering
import Reports

extension Merge {
  /// A way to merge, and where it is written.
  private struct Way {
    let name: String
    let plan: RefactorPlan
    let output: String
  }

  /// Merges in all ways that were asked for, and looks at each beside the adapters as they are.
  func tryAll(_ recipe: RefactorRecipe, _ sources: [Adapter]) throws -> Outcome {
    guard !writer.dryRun else { throw ValidationError("--try: expected no --dry-run beside it, found one") }
    let base = try Checkpoint(path: recipe.base!), model = try PictureModel(base)
    let ways = try ways(recipe, sources, base)
    if let sheet = trial.sheet { try TemporaryFile.checkDestination(sheet, overwriting: writer.force) }
    try Destination.requireApart(ways.map(\.output) + [trial.sheet].compactMap { $0 })
    let shown = try scenes.scene.scenes(
      model, size: (pictureSize, "--picture-size"), strengths: scenes.strengths?.values)
    let rendering = try scenes.rendering(model, of: base, threads: common.threads)
    let original = try AuditSide(recipe.inputs, base: base)
    tellNotes(of: ways[0].plan, base: base)
    common.announce("drawing with the adapters themselves")
    let pictures = try PictureTrial(of: original, scenes: shown, rendering: rendering)
    var images: [(name: String, images: [RGBImage])] = [("adapters", pictures.images)]
    let outputs = try ways.map { way in
      let merged = try report(way.plan, sources, base: base, to: way.output)
      common.announce("drawing with \(way.output)")
      let outcome = try pictures.outcome(of: AuditSide([.init(path: way.output)], base: base))
      images.append((way.name, outcome.images))
      return MergeTrialReport.Output(method: way.name, merged, outcome)
    }
    if let path = trial.sheet { try write(images, of: pictures.shots, to: path) }
    let table = MergeTrialReport(outputs, pictures: pictures.shots.count, sheet: trial.sheet)
    try common.show(table, text: table.text(width: Console.width))
    return ways.allSatisfy(\.plan.skipped.isEmpty) ? .done : .skipped
  }

  /// Plans of all ways, so that what one of them lacks is known before anything is drawn.
  private func ways(_ recipe: RefactorRecipe, _ sources: [Adapter], _ base: Checkpoint) throws -> [Way] {
    let paths = recipe.inputs.map(\.path), asked = trial.list!.methods
    try methods.check(asked, adapters: paths)
    return try asked.map { method in
      var own = recipe
      if case .method(let choice) = method {
        own.method = choice.make(methods.settings(adapters: paths))
        guard own.method.combines || own.rule != .exact else {
          throw ValidationError("--try \(method.name): expected one of --rank, --energy, --max-error or --size")
        }
      } else {
        (own.method, own.rule) = (LeadingComponents(), .exact)
      }
      let output = try writer.requiredOutput().replacing("{method}", with: method.name)
      return Way(name: method.name, plan: try plan(own, sources, base: base, to: output), output: output)
    }
  }

  /// All pictures, a row for each shot and a column for each way.
  private func write(
    _ columns: [(name: String, images: [RGBImage])], of shots: [AuditShot], to path: String
  ) throws {
    let sheet = ContactSheet(
      images: shots.indices.map { row in columns.map { $0.images[row] } }, rowLabels: shots.map(\.label),
      columnLabels: columns.map(\.name), caption: "")
    let file = try TemporaryFile(for: path, overwriting: writer.force)
    try sheet.drawn().pngData().withUnsafeBytes { try file.write($0, at: 0) }
    try file.commit()
  }
}
