/// Why a base checkpoint cannot be used.
public struct CheckpointError: Error, CustomStringConvertible {
  public enum Kind: Equatable, Sendable {
    case notACheckpoint(reason: String)
    case shard
    case index(reason: String)
    case missingShard(String)
    case outsideFolder(String)
    case missingTensor(name: String, shard: String)
    case configuration(file: String, reason: String)
    case quantised(tensor: String, scheme: String)
    case unknownWeight(String)
    case weightShape(name: String, expected: String, found: String)
    case unreadable(tensor: String, dtype: String)
  }

  public let kind: Kind
  public let path: String

  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  public var description: String { "\(path): \(message)" }

  private var message: String {
    switch kind {
    case .notACheckpoint(let reason): "expected a base checkpoint, \(reason)"
    case .shard: "expected a whole checkpoint, found one shard of several; hint: give the folder"
    case .index(let reason): "index: \(reason)"
    case .missingShard(let name): "shard: expected \(name) as the index says, found no such file; hint: fetch it again"
    case .outsideFolder(let name): "expected files inside the folder, found \(name), which lies outside"
    case .missingTensor(let name, let shard): "\(name): expected it in \(shard) as the index says, found nothing"
    case .configuration(let file, let reason): "\(file): \(reason)"
    case .quantised(let tensor, let scheme):
      "\(tensor): expected plain weights, found \(scheme); hint: use the unquantised checkpoint and quantise the result"
    case .unknownWeight(let name): "\(name): expected this weight, found none of the name"
    case .weightShape(let name, let expected, let found): "\(name): shape: expected \(expected), found \(found)"
    case .unreadable(let tensor, let dtype):
      "\(tensor): dtype: expected a number format that can be read, found \(dtype)"
    }
  }
}
