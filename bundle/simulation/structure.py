"""The twelve structures of the benchmark: where each one's fluorophore is in a specimen."""

from collections.abc import Callable, Sequence

import numpy as np

from bundle.errors import BundleError
from bundle.simulation.curve import Points, free_points, grow_curves, random_directions, splat, unit
from bundle.simulation.nucleus import turned
from bundle.simulation.specimen import Specimen
from bundle.simulation.texture import Volume, shell, smooth_noise, soft_mask


def centrosomes(specimen: Specimen, generator: np.random.Generator) -> Points:
    """Return a place (N, 3) in um beside, and mostly above, each interphase nucleus."""
    nuclei = specimen.nuclei
    direction = random_directions(len(nuclei.centre), 0.6, generator)
    direction[:, 0] = np.abs(direction[:, 0]) + 0.3
    level = np.hypot(nuclei.half_axes[:, 1], nuclei.half_axes[:, 2]) / np.sqrt(2)
    reach = np.stack([nuclei.half_axes[:, 0], level, level], axis=1) + 0.7
    return (nuclei.centre + unit(direction) * reach).astype(np.float32)


def alpha_tubulin(specimen: Specimen) -> Volume:
    """Microtubules: thin curves from the centrosome and the cytoplasm around the nucleus; spindles in mitosis."""
    generator = specimen.generator("alpha_tubulin")
    room = specimen.cytoplasm * (specimen.clearance > 0.2)
    start = free_points(room, int(60 * specimen.cell_count), generator)
    paths = grow_curves(
        specimen.clearance, start, random_directions(len(start), 0.35, generator), 12.0, 0.07, generator
    )
    asters = np.repeat(centrosomes(specimen, generator)[~specimen.nuclei.dividing], 14, axis=0)
    rays = grow_curves(specimen.clearance, asters, random_directions(len(asters), 1.0, generator), 5.0, 0.12, generator)
    total = splat(paths, 0.55, specimen.shape) + splat(rays, 0.55, specimen.shape)
    for number in np.flatnonzero(specimen.nuclei.dividing):
        total += spindle(specimen, int(number), generator)
    return total + 0.12 * specimen.cytoplasm


def spindle(specimen: Specimen, number: int, generator: np.random.Generator) -> Volume:
    """Return the spindle of a dividing cell: curves from two poles that spread to the chromosomes and meet."""
    nuclei = specimen.nuclei
    across = turned(float(nuclei.angle[number]))[2]
    poles = nuclei.centre[number] + np.float32(4.0) * np.stack([across, -across])
    start = np.repeat(poles, 60, axis=0)
    plate = nuclei.centre[number] + generator.normal(0, 1.5, (len(start), 3)).astype(np.float32)
    t = np.linspace(0, 1, 20, dtype=np.float32)[None, :, None]
    return splat(start[:, None] * (1 - t) + plate[:, None] * t, 0.5, specimen.shape)


def beta_actin(specimen: Specimen) -> Volume:
    """Actin: the cells' cortex, apical microvilli and short basal filaments."""
    generator = specimen.generator("beta_actin")
    sheet = specimen.sheet
    cortex = 0.8 * shell(sheet.border, 0.24) * specimen.inside
    patches: Volume = np.clip(0.7 + 0.5 * smooth_noise(specimen.shape, 3, generator), 0, None)
    microvilli = 0.7 * patches * shell(sheet.apical, 0.32)
    filaments = basal_filaments(specimen, 30, 3.5, generator)
    return cortex + microvilli + filaments + 0.08 * specimen.cytoplasm


def basal_filaments(specimen: Specimen, per_cell: int, length: float, generator: np.random.Generator) -> Volume:
    """Return level filaments of `length` um that run just above the basal surface, `per_cell` in each cell."""
    room = shell(specimen.sheet.basal - 0.4, 0.2) * (specimen.sheet.border > 0.2)
    start = free_points(room, int(per_cell * specimen.cell_count), generator)
    direction = random_directions(len(start), 0.02, generator)
    return splat(
        grow_curves(specimen.surface, start, direction, length, 0.05, generator, margin=0.2), 0.5, specimen.shape
    )


def desmoplakin(specimen: Specimen) -> Volume:
    """Desmosomes: few small spots on the lateral borders."""
    generator = specimen.generator("desmoplakin")
    room = shell(specimen.sheet.border, 0.12) * (specimen.sheet.outside < -0.5) * shell(specimen.sheet.apical - 2, 1.8)
    spots = free_points(room, int(20 * specimen.cell_count), generator)
    cloud = spots[:, None] + generator.normal(0, 0.11, (len(spots), 12, 3)).astype(np.float32)
    weight = np.repeat(generator.lognormal(-1.2, 0.6, len(spots)), 12).astype(np.float32)
    return splat(cloud, weight, specimen.shape) + 0.03 * specimen.cytoplasm


def dna(specimen: Specimen) -> Volume:
    """DNA: textured nuclei without their nucleoli, and bright chromosomes in dividing cells."""
    return specimen.chromatin * specimen.expression("dna", 0.15)


def fibrillarin(specimen: Specimen) -> Volume:
    """Nucleoli: bright, in nuclei that are nearly dark."""
    texture: Volume = np.exp(np.float32(0.2) * smooth_noise(specimen.shape, 2.5, specimen.generator("fibrillarin")))
    diffuse = 0.05 * specimen.nucleus + 0.1 * specimen.chromosomes
    return (specimen.nucleoli * texture + diffuse) * specimen.expression("fibrillarin")


def lamin_b1(specimen: Specimen) -> Volume:
    """Nuclear envelope: a thin shell about interphase nuclei; spread through the cell in mitosis."""
    envelope = shell(specimen.nuclei.envelope, 0.16) * specimen.inside
    dividing: Volume = np.asarray(specimen.nuclei.dividing[specimen.sheet.label], np.float32)
    diffuse = 0.16 * dividing * specimen.cytoplasm + 0.06 * specimen.nucleus
    return (envelope + diffuse) * specimen.expression("lamin_b1")


def membrane_caax_63x(specimen: Specimen) -> Volume:
    """Plasma membrane, with some vesicles and a faint Golgi inside."""
    generator = specimen.generator("membrane_caax_63x")
    vesicles = free_points(specimen.cytoplasm, int(25 * specimen.cell_count), generator)
    weight = generator.uniform(0.3, 1.5, len(vesicles)).astype(np.float32)
    return specimen.plasma_membrane * specimen.expression("membrane_caax_63x", 0.15) + splat(
        vesicles, weight, specimen.shape
    )


def myosin_iib(specimen: Specimen) -> Volume:
    """Actomyosin: patchy bundles along the apical borders and above the basal surface, uneven between cells."""
    generator = specimen.generator("myosin_iib")
    sheet = specimen.sheet
    patches: Volume = np.clip(0.4 + 0.7 * smooth_noise(specimen.shape, 6, generator), 0, None)
    belt = 1.1 * shell(sheet.border, 0.25) * shell(sheet.apical - 0.6, 0.6) * specimen.inside
    cortex = 0.25 * shell(sheet.border, 0.25) * specimen.inside
    bundles = basal_filaments(specimen, 14, 4.5, generator)
    return ((belt + cortex) * patches + bundles) * specimen.expression("myosin_iib", 0.5) + 0.08 * specimen.cytoplasm


def sec61_beta(specimen: Specimen) -> Volume:
    """Endoplasmic reticulum, which goes on into the nuclear envelope."""
    envelope = 0.6 * shell(specimen.nuclei.envelope, 0.2) * specimen.inside
    return (0.8 * specimen.reticulum + envelope) * specimen.expression("sec61_beta")


def st6gal1(specimen: Specimen) -> Volume:
    """Golgi apparatus: a compact tangle of ribbons at the centrosome; in pieces in mitosis."""
    generator = specimen.generator("st6gal1")
    centre = np.repeat(centrosomes(specimen, generator), 9, axis=0)
    start = centre + generator.normal(0, 0.75, centre.shape).astype(np.float32)
    direction = random_directions(len(start), 0.5, generator)
    paths = grow_curves(specimen.clearance, start, direction, 1.8, 0.5, generator)
    scattered = specimen.nuclei.dividing[np.arange(len(start)) // 9]
    paths[scattered] += generator.normal(0, 1.8, paths[scattered].shape).astype(np.float32)
    spread = paths[:, :, None] + generator.normal(0, 0.1, (*paths.shape[:2], 3, 3)).astype(np.float32)
    return (splat(spread, 0.5, specimen.shape) + 0.012) * specimen.cytoplasm


def tom20(specimen: Specimen) -> Volume:
    """Mitochondria."""
    return specimen.mitochondria * specimen.expression("tom20") + 0.05 * specimen.cytoplasm


def zo1(specimen: Specimen) -> Volume:
    """Tight junctions: a thin belt at the apical end of the lateral borders."""
    generator = specimen.generator("zo1")
    gaps: Volume = np.clip(1 + 0.35 * smooth_noise(specimen.shape, 4, generator), 0, None)
    belt = shell(specimen.sheet.border, 0.16) * shell(specimen.sheet.apical - 0.5, 0.28) * gaps
    return 1.3 * belt + 0.03 * soft_mask(specimen.sheet.outside, 0.35)


STRUCTURES: dict[str, Callable[[Specimen], Volume]] = {
    "alpha_tubulin": alpha_tubulin,
    "beta_actin": beta_actin,
    "desmoplakin": desmoplakin,
    "dna": dna,
    "fibrillarin": fibrillarin,
    "lamin_b1": lamin_b1,
    "membrane_caax_63x": membrane_caax_63x,
    "myosin_iib": myosin_iib,
    "sec61_beta": sec61_beta,
    "st6gal1": st6gal1,
    "tom20": tom20,
    "zo1": zo1,
}


def check_tasks(tasks: Sequence[str]) -> list[str]:
    """Return the tasks as a list, or raise a BundleError that names the first one that cannot be simulated."""
    for task in tasks:
        if task not in STRUCTURES:
            raise BundleError(f"Task {task!r} cannot be simulated; use some of {', '.join(STRUCTURES)}.")
    return list(tasks)
