import Testing

@testable import Tensors

/// Numbers as people read them.
@Suite struct NumbersTests {
  @Test(
    "per cent keeps the digits that tell a share from nothing and from all",
    arguments: [
      (0.0, "0 %"), (1.0, "100 %"), (0.5, "50.0 %"), (0.12345, "12.3 %"), (0.995, "99.50 %"), (0.9997, "99.970 %"),
      (0.99995, "99.9950 %"), (1 - 1e-9, "≈100 %"), (1e-9, "≈0 %"), (1.5, "150.0 %"),
    ])
  func percent(share: Double, text: String) { #expect(Numbers.percent(share) == text) }

  @Test(
    "digits stand in groups of three",
    arguments: [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567"), (-4200, "-4 200")])
  func grouped(value: Int, text: String) { #expect(Numbers.grouped(value) == text) }

  @Test(
    "four significant digits",
    arguments: [(0.0, "0"), (0.031415926, "0.03142"), (1.5e-8, "1.5e-08"), (12345.678, "1.235e+04"), (2, "2")])
  func short(value: Double, text: String) { #expect(Numbers.short(value) == text) }

  @Test("infinity and NaN are told as such")
  func special() {
    #expect(Numbers.short(.infinity) == "inf")
    #expect(Numbers.short(.nan) == "nan")
  }
}
