import Testing

@testable import Checkpoints

@Suite struct NameMapTests {
  @Test func everyMapIsWellFormed() {
    for family in Family.allCases {
      for component in Component.allCases { for map in family.maps(of: component) { #expect(!map.rules.isEmpty) } }
    }
  }
}
