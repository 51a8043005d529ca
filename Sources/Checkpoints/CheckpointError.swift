public import Codecs

/// Why a base checkpoint cannot be used.
public struct CheckpointError: Error, CustomStringConvertible {
  /// What went wrong; files are named by their place in the folder, tensors by their full names.
  public enum Kind: Equatable, Sendable {
    case notACheckpoint(reason: String)
    case shard
    case index(reason: String)
    case missingShard(String)
    case outsideFolder(String)
    case linkedFolder(String)
    case missingTensor(name: String, shard: String, elsewhere: String?)
    case twice(name: String, shard: String, other: String, indexed: String?)
    case sameWeight(name: String, other: String)
    case configuration(file: String, reason: String)
    case quantised(tensor: String, scheme: String)
    case scaled(weight: String, dtype: String, side: String)
    case codec(weight: String, fault: CodecError)
    case quantisedConfiguration(file: String, method: String)
    case unknownWeight(String)
    case weightShape(name: String, expected: String, found: String)
    case unreadable(tensor: String, dtype: String)
    case number(tensor: String, value: Double)
  }

  /// What went wrong, for those who add a hint to it.
  public let kind: Kind
  /// The checkpoint's file, index or folder.
  public let path: String

  /// An error about the checkpoint at `path`, which begins its message.
  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  /// The whole message, with the checkpoint in front.
  public var description: String { "\(path): \(message)" }

  private var message: String {
    switch kind {
    case .notACheckpoint(let reason): "expected a base checkpoint, \(reason)"
    case .shard: "expected a whole checkpoint, found one shard of several; hint: give the folder"
    case .index(let reason): "index: \(reason)"
    case .missingShard(let name): "shard: expected \(name) as the index says, found no such file; hint: fetch it again"
    case .linkedFolder(let name):
      "expected folders of its own, found \(name), a link to one; hint: put a copy in its place"
    case .outsideFolder(let name): "expected files inside the folder, found \(name), which lies outside"
    case .missingTensor(let name, let shard, let elsewhere):
      "\(name): expected it in \(shard) as the index says, found \(elsewhere.map { "it in \($0)" } ?? "nothing")"
    case .twice(let name, let shard, let other, let indexed):
      "\(name): expected it \(indexed.map { "in \($0) only, as the index says" } ?? "once"), found it in \(shard) and in "
        + "\(other); hint: loaders differ in which they take, remove the wrong one"
    case .sameWeight(let name, let other):
      "\(name): expected each weight once, found it again as \(other); hint: loaders differ in which they take, remove the wrong one"
    case .configuration(let file, let reason): "\(file): \(reason)"
    case .quantised(let tensor, let scheme):
      "\(tensor): expected plain weights, found \(scheme); hint: use the unquantised checkpoint and quantise the result"
    case .scaled(let weight, let dtype, let side):
      "\(weight): expected plain weights, found \(dtype) numbers with \(side) beside them, which may say what they mean and is "
        + "not read; hint: use the unquantised checkpoint and quantise the result"
    case .codec(let weight, let fault): "\(weight): \(fault)"
    case .quantisedConfiguration(let file, let method):
      "\(file): quantization_config: expected plain weights, found \(method); hint: use the unquantised checkpoint and "
        + "quantise the result"
    case .unknownWeight(let name): "\(name): expected this weight, found none of the name"
    case .weightShape(let name, let expected, let found): "\(name): shape: expected \(expected), found \(found)"
    case .unreadable(let tensor, let dtype):
      "\(tensor): dtype: expected a number format that can be read, found \(dtype)"
    case .number(let tensor, let value): "\(tensor): expected a tensor, found the number \(value)"
    }
  }
}
