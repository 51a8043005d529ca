import Tensors

extension AuditPage {
  struct CostRow {
    var costName: String
    var adapters: Int
    var files: String
    var factors: String
    var load: String
    var step: String
    var arithmetic: String

    init(_ cost: AuditReport.Cost) {
      costName = cost.name
      adapters = cost.adapters
      files = ByteCount(cost.fileBytes).description
      factors = ByteCount(cost.factorBytes).description
      load = AuditPage.time(cost.loadSeconds)
      step = cost.secondsPerStep.map(AuditPage.time) ?? "–"
      arithmetic = cost.extraArithmetic == 0 ? "none" : "+ " + percent(cost.extraArithmetic)
    }
  }

  struct RecipePart {
    var version: String
    /// The command line's words, as a shell reads them.
    var command: [String]
    var settings: [Setting]
    var files: [File]
    var scenes: [Scene]

    struct Setting {
      var term: String
      var figure: String
    }

    struct File {
      var role: String
      var path: String
      var bytes: String
      var sha256: String
    }

    struct Scene {
      var scenePrompt: String
      var sceneNegative: [String]
      var sceneSeed: String
      var sceneSize: String
      var sceneStrengths: String
    }

    init(_ recipe: AuditReport.Recipe) {
      version = recipe.version
      command = recipe.command.map(\.shellArgument)
      settings = recipe.settings.map { Setting(term: $0.name, figure: $0.value) }
      files = recipe.files.map {
        File(
          role: $0.role, path: $0.file.path, bytes: Numbers.grouped($0.file.bytes),
          sha256: $0.file.sha256 ?? "not hashed")
      }
      scenes = recipe.scenes.map {
        Scene(
          scenePrompt: $0.prompt, sceneNegative: $0.negative.map { [$0] } ?? [], sceneSeed: "\($0.seed)",
          sceneSize: $0.size.text, sceneStrengths: $0.strengths.map(Numbers.short).joined(separator: ", "))
      }
    }
  }
}

extension AuditReport.Recipe {
  /// As a shell reads it.
  var commandLine: String { command.map(\.shellArgument).joined(separator: " ") }

  /// What the pictures have in common, by its name.
  var settings: [(name: String, value: String)] {
    [
      ("Lathe", version), ("family", family), ("sampler", sampler), ("steps", "\(steps)"),
      ("cfg", Numbers.short(cfg)), ("noise", "like \(rng)'s"), ("arithmetic", dtype),
    ] + (reused.map { [("from earlier audits", $0.joined(separator: ", "))] } ?? [])
  }

  /// All files that were read, with what they are.
  var files: [(role: String, file: AuditReport.Source)] {
    func files(_ name: String, _ side: AuditReport.Side) -> [(role: String, file: AuditReport.Source)] {
      side.checkpoint.map { ("\(name), checkpoint", $0) }
        + side.adapters.map { ("\(name), at \($0.strengths)", $0.file) }
    }
    return base.map { ("base", $0) } + files("before", before) + files("after", after)
  }
}
