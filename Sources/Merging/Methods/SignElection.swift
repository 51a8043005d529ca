/// What several numbers for one place become where their signs disagree: those against the majority are left out.
///
/// The sign of their sum is that of the majority (Yadav and others, "TIES-Merging", 2023). Strengths are in the numbers: what is
/// subtracted votes for the other side.
enum SignElection {
  /// How those of the majority become one.
  enum Fusion { case mean, sum }

  /// - Parameter parts: arrays of one length; zeros are no votes, and do not count for the mean.
  static func elected<Number: BinaryFloatingPoint>(_ parts: [[Number]], _ fusion: Fusion) -> [Number] {
    let count = parts[0].count
    return [Number](unsafeUninitializedCapacity: count) { result, initialized in
      initialized = count
      for i in 0..<count {
        var all: Number = 0
        for part in parts { all += part[i] }
        var kept: Number = 0, votes: Number = 0
        for part in parts where part[i] * all > 0 {
          kept += part[i]
          votes += 1
        }
        result[i] = fusion == .mean && votes > 0 ? kept / votes : kept
      }
    }
  }
}

extension [Float] {
  /// The share of the numbers that are largest in size; zeros stand for the rest.
  func trimmed(to density: Double) -> [Float] { keepingLargest(Int(density * Double(count))) }
}

extension Array where Element: BinaryFloatingPoint {
  /// The `kept` numbers that are largest in size; zeros stand for the rest. Of equal ones the first are kept.
  func keepingLargest(_ kept: Int) -> Self {
    guard kept < count else { return self }
    guard kept > 0 else { return map { _ in 0 } }
    let limit = largestSize(at: kept - 1)
    var room = kept - count { $0.magnitude > limit }
    return map { value in
      if value.magnitude > limit { return value }
      guard value.magnitude == limit, room > 0 else { return 0 }
      room -= 1
      return value
    }
  }

  /// The size that has as many larger ones or equals before it, as sorting would give it (Hoare's selection).
  private func largestSize(at place: Int) -> Element {
    var sizes = map(\.magnitude), low = 0, high = count - 1
    return sizes.withUnsafeMutableBufferPointer { sizes in
      while low < high {
        // The middle of three keeps sorted numbers from taking the square of their count.
        let middle = [sizes[low], sizes[low + (high - low) / 2], sizes[high]].sorted()[1]
        var i = low, j = high
        while i <= j {
          while sizes[i] > middle { i += 1 }
          while sizes[j] < middle { j -= 1 }
          if i <= j {
            sizes.swapAt(i, j)
            i += 1
            j -= 1
          }
        }
        if place <= j { high = j } else if place >= i { low = i } else { break }
      }
      return sizes[place]
    }
  }
}
