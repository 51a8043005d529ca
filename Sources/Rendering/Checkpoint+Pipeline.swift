import Checkpoints
import Files
import FoundationEssentials
import JSON
import Prompts
import Sampling

/// What a diffusers folder says besides the measures of its networks.
extension Checkpoint {
  /// Its tokenizer; `nil` where it has none.
  ///
  /// - Throws: `FileError`, `PromptError`, `RenderingError`.
  func tokenizer() throws -> CLIPTokenizer? {
    let path = "\(folder)/tokenizer/merges.txt"
    guard isFolder, let merges = try Self.text(of: path) else { return nil }
    let other = "\(folder)/tokenizer/vocab.json"
    return try CLIPTokenizer(merges: merges, vocabulary: Self.text(of: other), source: path, vocabularySource: other)
  }

  /// What its scheduler's configuration says about its noise; `nil` where there is none.
  ///
  /// - Throws: `FileError`, `RenderingError` for settings that cannot be used.
  func schedulerSettings() throws -> SchedulerSettings? {
    let path = "\(folder)/scheduler/scheduler_config.json"
    guard isFolder, let json = try Self.text(of: path) else { return nil }
    do throws(SamplingError) {
      let settings = try SchedulerSettings(json: Data(json.utf8))
      try settings.check()
      return settings
    } catch {
      throw RenderingError(.settings(reason: "\(error)"), file: path)
    }
  }

  /// Qwen's tokenizer of the folder: its `tokenizer.json`, or the tables beside it that say the same.
  ///
  /// - Throws: `FileError`, `PromptError`, `RenderingError` where it is missing.
  func qwenTokenizer() throws -> QwenTokenizer {
    let place = "\(folder)/tokenizer", path = "\(place)/tokenizer.json", other = "\(place)/vocab.json"
    if isFolder, let json = try Self.text(of: path) { return try QwenTokenizer(json: json, source: path) }
    guard isFolder, let vocabulary = try Self.text(of: other), let merges = try Self.text(of: "\(place)/merges.txt"),
      let configuration = try Self.text(of: "\(place)/tokenizer_config.json")
    else { throw RenderingError(.missing("tokenizer/tokenizer.json", hint: nil), file: self.path) }
    return try QwenTokenizer(vocabulary: vocabulary, merges: merges, configuration: configuration, source: other)
  }

  /// What its scheduler's configuration says about its flow; `nil` where there is none.
  ///
  /// - Throws: `FileError`, `RenderingError` for settings that cannot be used.
  func flowSettings() throws -> FlowSettings? {
    let path = "\(folder)/scheduler/scheduler_config.json"
    guard isFolder, let json = try Self.text(of: path) else { return nil }
    do throws(SamplingError) { return try FlowSettings(json: Data(json.utf8)) } catch {
      throw RenderingError(.settings(reason: "\(error)"), file: path)
    }
  }

  /// The text of a small file; `nil` where there is none.
  ///
  /// - Throws: `FileError` for what is no file or cannot be read, `RenderingError` for what is no text or longer than any
  ///   such file is.
  private static func text(of path: String) throws -> String? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let bytes = try MappedFile(path: path).bytes
    func refusal(_ expected: String, _ found: String) -> RenderingError {
      RenderingError(.unsupported(what: "content", expected: expected, found: found, hint: nil), file: path)
    }
    guard bytes.count <= JSONValue.mostBytes else {
      throw refusal("at most \(JSONValue.mostBytes) bytes", "\(bytes.count)")
    }
    guard let text = bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
      throw refusal("text in UTF-8", "other bytes")
    }
    return text
  }
}
