import ArgumentParser
import Tensors

/// A share of a whole: `0.95`, or in per cent `95%`.
struct ShareArgument: ExpressibleByArgument {
  let value: Double

  init?(argument: String) {
    let isPercent = argument.hasSuffix("%")
    guard let number = Double(isPercent ? String(argument.dropLast()) : argument) else { return nil }
    value = isPercent ? number / 100 : number
  }
}

/// A file's size: bytes, or a share of the input's.
enum SizeAmount: Equatable {
  case bytes(ByteCount)
  case share(Double)

  init?(_ text: String) {
    if text.hasSuffix("%") {
      guard let share = ShareArgument(argument: text)?.value, share > 0, share.isFinite else { return nil }
      self = .share(share)
    } else {
      guard let bytes = ByteCount(text) else { return nil }
      self = .bytes(bytes)
    }
  }

  /// - Parameter whole: bytes of what a share is of.
  func bytes(of whole: Int) -> ByteCount {
    switch self {
    case .bytes(let bytes): bytes
    case .share(let share): ByteCount(Int(min(max(1, share * Double(whole)), 0x1p62)))
    }
  }
}
