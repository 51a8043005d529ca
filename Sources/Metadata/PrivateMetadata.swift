import Factoring
import JSON

/// What a file's metadata tells about whoever trained it, rather than about the training.
///
/// Source: the fields that sd-scripts, OneTrainer and ai-toolkit write; section names in their code.
enum PrivateMetadata {
  /// The value without what is private: `nil` where nothing of it may stay.
  static func scrubbed(_ key: String, _ value: String) -> String? {
    if removed.contains(key) || isAboutAMachine(key) { return nil }
    if key == "ss_tag_frequency" { return withoutFolders(value) ?? withoutPaths(value) }
    return withoutPaths(value)
  }

  /// Folders of pictures with their names, comments, whole configurations with every path in them, and numbers that tie
  /// files of one person together.
  private static let removed: Set<String> = [
    "ss_dataset_dirs", "ss_reg_dataset_dirs", "ss_datasets", "ss_training_comment", "ss_session_id", "comment",
    "modelspec.comment", "ot_config", "training_config", "config", "ss_config_file", "ss_logging_dir",
    "ss_log_prefix", "ss_wandb_run_name", "ss_log_tracker_name", "ss_sample_prompts",
  ]

  private static func isAboutAMachine(_ key: String) -> Bool {
    let words = key.lowercased().split { !$0.isLetter && !$0.isNumber }
    return words.contains { ["host", "hostname", "user", "username", "machine", "computer", "email"].contains($0) }
  }

  /// Tags with their counts, under numbers in place of the folders that the pictures lay in.
  private static func withoutFolders(_ text: String) -> String? {
    guard let folders = JSONValue(parsing: text)?.object else { return nil }
    let numbered = folders.keys.sorted().enumerated().map { ("dataset-\($0 + 1)", folders[$1]!) }
    return JSONValue.object(Dictionary(uniqueKeysWithValues: numbered)).compactText
  }

  // MARK: Paths

  /// The text with each absolute path cut to its last part: `/home/jane/lora/base.safetensors` → `base.safetensors`.
  private static func withoutPaths(_ text: String) -> String {
    let characters = Array(text)
    var result = "", place = 0
    while place < characters.count {
      if isStart(characters, place) {
        let end = characters[place...].firstIndex { ends.contains($0) } ?? characters.count
        let parts = characters[place..<end].split { $0 == "/" || $0 == "\\" }
        // A lone slash and a name is a fraction or a switch, not a place on somebody's disk.
        if parts.count > 1 {
          result += String(parts.last!)
          place = end
          continue
        }
      }
      result.append(characters[place])
      place += 1
    }
    return result
  }

  private static let ends: Set<Character> = ["\"", "'", "\n", "\r\n", ",", ";", "]", "}", ")", "<", ">", "|", "*", "?"]

  private static func isStart(_ text: [Character], _ place: Int) -> Bool {
    func character(_ offset: Int) -> Character? {
      text.indices.contains(place + offset) ? text[place + offset] : nil
    }
    if let before = character(-1), before.isLetter || before.isNumber || "/\\:._-~".contains(before) { return false }
    guard let first = character(0), let second = character(1) else { return false }
    if first == "/" || (first == "~" && second == "/") { return !second.isWhitespace && second != "/" || first == "~" }
    if first == "\\", second == "\\" { return true }
    guard first.isLetter, second == ":", let third = character(2) else { return false }
    return third == "\\" || (third == "/" && character(3) != "/")
  }
}
