package import Files
import Tensors

/// The files of an adapter that is being written: one, or a folder that appears as a whole.
package struct OutputFiles {
  /// For the tensors.
  package let tensors: TemporaryFile
  package let place: OutputPlace
  /// The folder that is in the making, and where in it this adapter is.
  private let folder: StagedFolder?
  private let part: String

  /// - Parameter own: inputs that may be replaced, because the command works in place.
  /// - Throws: `FileError`.
  package init(_ place: OutputPlace, overwriting: Bool, inPlaceOf own: Set<String> = []) throws {
    (self.place, part) = (place, "")
    folder = try place.folder.map { try StagedFolder(for: $0, replacing: OutputPlace.fileNames, inPlaceOf: own) }
    tensors =
      try folder?.file(OutputPlace.tensorName)
      ?? TemporaryFile(for: place.tensorFile, overwriting: overwriting, inPlaceOf: own)
  }

  /// In memory, without a name.
  package init(inMemory place: OutputPlace) throws {
    (self.place, part, folder) = (place, "", nil)
    tensors = try TemporaryFile(inMemory: "an adapter")
  }

  /// One of several adapters in a folder.
  package init(_ place: OutputPlace, in folder: StagedFolder, part: String) throws {
    (self.place, self.folder, self.part) = (place, folder, part + "/")
    tensors = try folder.file(self.part + OutputPlace.tensorName)
  }

  /// Completes the files.
  ///
  /// - Returns: what is to get its name, for `Publication`.
  package func completed() throws -> any Unpublished {
    guard let folder, let configuration = place.configuration else { return tensors }
    let file = try folder.file(part + OutputPlace.configurationName)
    try file.write(configuration.text + "\n")
    try file.commit()
    try tensors.commit()
    return folder
  }
}
