import Testing

@testable import Calibrating

@Suite struct SensitivityTableTests {
}
