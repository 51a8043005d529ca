import ArgumentParser
import Factoring
import Metadata
import Reports
import Safetensors

struct MetadataGet: LatheCommand {
  static let configuration = CommandConfiguration(
    commandName: "get",
    abstract: "Prints all metadata of a file, or the values of some keys.",
    discussion: """
      Hashes of the tensors are verified where the file holds them, which reads all of it; --no-hashes reads only the
      header.

      Examples:
        lathe metadata get style.safetensors
        lathe metadata get style.safetensors ss_tag_frequency
      """)

  @Argument(help: "A safetensors file, or the folder of a PEFT adapter.")
  var file: String

  @Argument(help: "Only these entries; the value alone where it is one.")
  var keys: [String] = []

  @Flag(inversion: .prefixedNo, help: "Verify the hashes that the metadata holds.")
  var hashes = true

  @OptionGroup var common: CommonOptions

  func execute() throws -> Outcome {
    let file = try SafetensorsFile(path: MetadataEdit.file(at: self.file))
    for key in keys where !file.metadata.contains(where: { $0.key == key }) {
      throw MetadataError(missing: key, path: file.path)
    }
    let report = MetadataReport(file, keys: keys, hashes: holdsHashes(file) ? MetadataHashes(of: file) : nil)
    common.warn(report.warnings)
    try common.show(report, text: report.text(isBare: keys.count == 1))
    return .done
  }

  private func holdsHashes(_ file: SafetensorsFile) -> Bool {
    hashes && file.metadata.contains { MetadataHashes.keys.contains($0.key) && (keys.isEmpty || keys.contains($0.key)) }
  }
}
