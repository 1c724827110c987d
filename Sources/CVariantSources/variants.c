/* SPDX-License-Identifier: GPL-2.0-only */
/* One line a file of Variants/; a test says if one is missing. */
#include "CVariantSources.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char text_0[] = {
#embed "../../Variants/MlockDrain/Drained.swift"
};
static const unsigned char text_1[] = {
#embed "../../Variants/MlockDrain/DrainedWalk.swift"
};
static const unsigned char text_2[] = {
#embed "../../Variants/MlockDrain/MlockDrain.swift"
};
static const unsigned char text_3[] = {
#embed "../../Variants/MlockDrain/Undrained.swift"
};
static const unsigned char text_4[] = {
#embed "../../Variants/MunlockSplit/C/include/CMunlockSplit.h"
};
static const unsigned char text_5[] = {
#embed "../../Variants/MunlockSplit/C/page_mlock_posted.c"
};
static const unsigned char text_6[] = {
#embed "../../Variants/MunlockSplit/Fixed.swift"
};
static const unsigned char text_7[] = {
#embed "../../Variants/MunlockSplit/Merged.swift"
};
static const unsigned char text_8[] = {
#embed "../../Variants/MunlockSplit/MunlockSplit.swift"
};
static const unsigned char text_9[] = {
#embed "../../Variants/MunlockSplit/PageMlock.swift"
};
static const unsigned char text_10[] = {
#embed "../../Variants/MunlockSplit/Posted.swift"
};
static const unsigned char text_11[] = {
#embed "../../Variants/RetractPageTables/C/include/CRetractPageTables.h"
};
static const unsigned char text_12[] = {
#embed "../../Variants/RetractPageTables/C/install.c"
};
static const unsigned char text_13[] = {
#embed "../../Variants/RetractPageTables/C/khugepaged.h"
};
static const unsigned char text_14[] = {
#embed "../../Variants/RetractPageTables/C/retract_page_tables_new.c"
};
static const unsigned char text_15[] = {
#embed "../../Variants/RetractPageTables/New.swift"
};
static const unsigned char text_16[] = {
#embed "../../Variants/RetractPageTables/NewV1.swift"
};
static const unsigned char text_17[] = {
#embed "../../Variants/RetractPageTables/RetractPageTables.swift"
};

#define SOURCE(path, text) { path, text, sizeof(text) }

static const struct variant_source sources[] = {
	SOURCE("MlockDrain/Drained.swift", text_0),
	SOURCE("MlockDrain/DrainedWalk.swift", text_1),
	SOURCE("MlockDrain/MlockDrain.swift", text_2),
	SOURCE("MlockDrain/Undrained.swift", text_3),
	SOURCE("MunlockSplit/C/include/CMunlockSplit.h", text_4),
	SOURCE("MunlockSplit/C/page_mlock_posted.c", text_5),
	SOURCE("MunlockSplit/Fixed.swift", text_6),
	SOURCE("MunlockSplit/Merged.swift", text_7),
	SOURCE("MunlockSplit/MunlockSplit.swift", text_8),
	SOURCE("MunlockSplit/PageMlock.swift", text_9),
	SOURCE("MunlockSplit/Posted.swift", text_10),
	SOURCE("RetractPageTables/C/include/CRetractPageTables.h", text_11),
	SOURCE("RetractPageTables/C/install.c", text_12),
	SOURCE("RetractPageTables/C/khugepaged.h", text_13),
	SOURCE("RetractPageTables/C/retract_page_tables_new.c", text_14),
	SOURCE("RetractPageTables/New.swift", text_15),
	SOURCE("RetractPageTables/NewV1.swift", text_16),
	SOURCE("RetractPageTables/RetractPageTables.swift", text_17),
};

size_t number_of_variant_sources(void)
{
	return sizeof(sources) / sizeof(sources[0]);
}

struct variant_source variant_source(size_t number)
{
	return sources[number];
}
