// SPDX-License-Identifier: GPL-2.0-only
// Boot: from an empty arena to a machine of the given shape with one process, whose variant of the
// kernel is the given table.

import CKernel
import Simulation

/// How a machine's memory is laid out where no outcome may depend on it.
public struct Layout: Sendable, Equatable {
    /// Fills memory that was never allocated.
    public var poison: UInt8 = 0
    /// Seeds another order of allocation; 0 is the natural one.
    public var permutation: UInt64 = 0
    /// Whether that leaves pages out: which of them are free side by side decides whether there is a huge one.
    public var keepsPagesInOrder = false

    public init(poison: UInt8 = 0, permutation: UInt64 = 0) {
        self.poison = poison
        self.permutation = permutation
    }
}

/// Steps a run may take before it is called endless: ten times what the largest generated traces need.
public let defaultStepLimit: UInt32 = 20_000

extension Arena {
    /// Boots a machine: memory on its free lists, the files, one empty process (number 0), the tasks.
    ///
    /// - Parameter operations: the variant's table; it must live as long as the machine.
    public func boot(
        _ shape: MachineShape, tasks: [TaskShape], operations: kernel_ops, layout: Layout = Layout()
    ) {
        clear(poison: layout.poison)
        kernel = root
        kernel.ops = operations
        kernel.cpu_moves = operations.rules & RULE_CPU_MOVES != 0 ? 1 : 0
        kernel.simulation = simulationOperations
        kernel.step_limit = defaultStepLimit
        setShape(shape, tasks.count)
        allocateMachine(shape)
        createTasks(tasks)
        createCaches(shape, layout)
        page_alloc_init(permutation: layout.keepsPagesInOrder ? 0 : layout.permutation)
        createFiles(shape)
        createFirstProcess()
        for (number, task) in tasks.enumerated() where task.process == 0 {
            kernel.task(number).mm = kernel.mm_slot(0).pointee
        }
    }
}

private func setShape(_ shape: MachineShape, _ tasks: Int) {
    kernel.nr_cpus = UInt8(shape.cpus)
    kernel.nr_nodes = UInt8(shape.nodes)
    kernel.nr_tasks = UInt8(tasks)
    kernel.nr_files = UInt8(shape.files.count)
    kernel.ptrs_per_pte = UInt8(shape.ptrsPerPte)
    kernel.ptrs_per_pmd = UInt8(shape.ptrsPerPmd)
    kernel.hpage_pmd_order = UInt8(shape.ptrsPerPte.trailingZeroBitCount)
    kernel.pagevec_size = UInt8(shape.pagevecSize)
    kernel.nr_pages = UInt16(shape.pages)
}

private func allocateMachine(_ shape: MachineShape) {
    kernel.mem_map = unsafeBitCast(arenaAllocate(sizeof_page() * shape.pages, alignment: 64), to: page.self)
    kernel.nodes = unsafeBitCast(arenaAllocate(sizeof_pglist_data() * shape.nodes), to: pglist_data.self)
    kernel.cpus = unsafeBitCast(arenaAllocate(sizeof_per_cpu() * shape.cpus), to: per_cpu.self)
    kernel.files = unsafeBitCast(
        arenaAllocate(sizeof_address_space() * max(shape.files.count, 1)), to: address_space.self)
    kernel.swap_info = unsafeBitCast(arenaAllocate(sizeof_swap_info_struct()), to: swap_info_struct.self)
    spin_lock_init(kernel.swap_info.lock, LOCK_swap_info)
    spin_lock_init(kernel.swap_info.cache_lock, LOCK_swap_cache)
    kernel.swap_info.max = UInt8(shape.swapSlots)
    INIT_LIST_HEAD(kernel.mmlist)
    mutex_init(kernel.lru_add_drain_all_lock, LOCK_lru_add_drain_all)
    spin_lock_init(kernel.khugepaged_mm_lock, LOCK_khugepaged_mm)
    INIT_LIST_HEAD(kernel.khugepaged_scan.mm_head)
    kernel.khugepaged_scan.last_target_node = NUMA_NO_NODE
    mutex_init(kernel.khugepaged_thread, LOCK_khugepaged)
    for nid in 0..<shape.nodes {
        createNode(nid)
        kernel.node(nid).movable = nid == shape.movableNode
    }
    for cpu in 0..<shape.cpus { createCPU(cpu, nid: cpu % shape.nodes) }
}

private func createNode(_ nid: Int) {
    let node = kernel.node(nid)
    node.nid = Int32(nid)
    spin_lock_init(node.lru_lock, LOCK_lru_lock)
    spin_lock_init(node.split_queue_lock, LOCK_split_queue)
    for lru in 0..<Int(NR_LRU_LISTS.rawValue) { INIT_LIST_HEAD(node.list(lru)) }
    INIT_LIST_HEAD(node.free_area)
    INIT_LIST_HEAD(node.split_queue)
}

private func createCPU(_ number: Int, nid: Int) {
    let cpu = kernel.cpu(number)
    cpu.number = UInt8(number)
    cpu.nid = UInt8(nid)
    local_lock_init(cpu.lru_pvecs_lock, LOCK_lru_pvecs)
    local_lock_init(cpu.lru_rotate_lock, LOCK_lru_rotate)
    local_lock_init(cpu.mlock_pvec_lock, LOCK_mlock_pvec)
    INIT_LIST_HEAD(cpu.pcp)
}

/// The tasks of the trace, and behind them the machine's own, which runs the set-up.
private func createTasks(_ tasks: [TaskShape]) {
    kernel.tasks = unsafeBitCast(
        arenaAllocate(sizeof_task_struct() * (tasks.count + 1), alignment: 64), to: task_struct.self)
    for number in 0...tasks.count {
        let task = kernel.task(number)
        task.number = UInt8(number)
        guard number < tasks.count else { continue }
        task.cpu = UInt8(tasks[number].cpu)
        task.kthread = tasks[number].process == nil
    }
    kernel.current = kernel.task(tasks.count)
}

/// As many objects as a machine of this size can use: each vma may have its own anon_vma, and each
/// anon_vma of each process reaches the vmas of all.  Large machines run imported programs, which map much.
private func createCaches(_ shape: MachineShape, _ layout: Layout) {
    let seed = layout.permutation
    let size = shape.pages > 32 ? 2 : 1
    kmem_cache_create(CACHE_mm_struct, size: sizeof_mm_struct(), count: Int(MAX_MMS), permutation: seed)
    kmem_cache_create(CACHE_vm_area_struct, size: sizeof_vm_area_struct(), count: 32 * size, permutation: seed)
    kmem_cache_create(
        CACHE_anon_vma, size: sizeof_anon_vma(), count: 24 * size, typesafeByRCU: true, permutation: seed)
    kmem_cache_create(CACHE_anon_vma_chain, size: sizeof_anon_vma_chain(), count: 64, permutation: seed)
    kmem_cache_create(
        CACHE_page_table, size: sizeof_page_table(shape.ptrsPerPte), count: 24 * size, permutation: seed)
    kmem_cache_create(
        CACHE_khugepaged_mm_slot, size: sizeof_khugepaged_mm_slot(), count: Int(MAX_MMS) + 2,
        permutation: seed)
}

private func createFiles(_ shape: MachineShape) {
    for (number, file) in shape.files.enumerated() {
        let mapping = kernel.file(number)
        mapping.number = UInt8(number)
        mapping.kind = UInt8((file.kind == .shmem ? MAPPING_SHMEM : MAPPING_FILE).rawValue)
        mapping.i_size = UInt(file.size)
        mapping.huge = file.huge
        mapping.huge_advise = file.huge && file.onAdvice
        spin_lock_init(mapping.i_pages_lock, LOCK_i_pages)
        init_rwsem(mapping.i_rwsem, LOCK_i_rwsem)
        init_rwsem(mapping.i_mmap_sem, LOCK_i_mmap_sem)
        init_rwsem(mapping.i_mmap_rwsem, LOCK_i_mmap_rwsem)
        INIT_LIST_HEAD(mapping.i_mmap)
        // Each page on the disk has contents of its own.
        for index in 0..<file.size { mapping.disk(index).pointee = UInt64(0xd000 + number * 0x100 + index) }
    }
}

/// Process 0, with an empty address space.
private func createFirstProcess() {
    let mm = unsafeBitCast(kmem_cache_zalloc(CACHE_mm_struct)!, to: mm_struct.self)
    mm_init(mm)
    mm.number = 0
    mm.live = true
    kernel.mm_slot(0).pointee = mm
}
