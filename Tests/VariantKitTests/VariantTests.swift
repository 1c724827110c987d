// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Testing
import VariantKit

@Suite struct VariantTests {
    @Test func variantEntersItsFunctionsInTheTable() {
        let variant = Variant(
            name: "nothing", era: "v5.13", summary: "Replaces nothing.", changedFunctions: [], install: { _ in })
        #expect(variant.changedFunctions.isEmpty)
    }
}
