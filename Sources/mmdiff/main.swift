// SPDX-License-Identifier: GPL-2.0-only
// The one place that knows all families: a new one is a line here.

import CommandLineTool
import MlockDrain
import MunlockSplit
import RetractPageTables
import VariantKit

MMDiff.main(
    Catalog(families: [
        munlockSplit, mlockDrain, retractPageTables,
    ]))
