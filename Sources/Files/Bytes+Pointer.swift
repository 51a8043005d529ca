package import Tensors

extension Bytes {
  /// Whether these are the few lines that Git LFS leaves in place of a file that it has not fetched.
  package var isPointer: Bool {
    withUnsafeBytes { $0.starts(with: "version https://git-lfs.github.com/spec/".utf8) }
  }
}
