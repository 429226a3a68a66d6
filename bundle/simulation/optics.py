"""Brightfield: the refractive index of a specimen and the stack that a microscope makes of it."""

import numpy as np
import numpy.typing as npt
from scipy import fft

from bundle.simulation.microscope import Microscope, illumination_directions, pupil
from bundle.simulation.sheet import SPACING
from bundle.simulation.specimen import Specimen
from bundle.simulation.texture import Volume, shell, smooth_noise

CYTOPLASM = 0.012  # refractive index above the medium's
# Texture of the cytoplasm at several scales: voxels between control points, fraction of the offset.
TEXTURE = ((1.7, 0.08), (3.0, 0.02), (9.0, 0.03))

ComplexField = npt.NDArray[np.complex64]


def refractive_index(specimen: Specimen) -> Volume:
    """Return the refractive index above that of the medium (Z, Y, X); each structure's differs a little by specimen."""
    generator = specimen.generator("refractive index")
    given = specimen.conditions.index
    texture = np.float32(given.grain) * generator.standard_normal(specimen.shape, dtype=np.float32)
    for scale, strength in TEXTURE:
        texture += np.float32(given.texture * strength) * smooth_noise(specimen.shape, scale, generator)
    patches = np.clip(0.6 + 0.5 * smooth_noise(specimen.shape, 10, generator), 0, None)
    membrane = patches * shell(specimen.sheet.border, 0.22) * specimen.inside
    envelope = shell(specimen.nuclei.envelope, 0.2) * specimen.inside
    index = CYTOPLASM * specimen.inside * (1 + texture * (1 - (1 - given.nuclear_texture) * specimen.nucleus))
    for density, offset in (
        (specimen.nucleus, given.nucleus),
        (membrane, given.membrane),
        (envelope, given.envelope),
        (specimen.nucleoli, given.nucleoli),
        (specimen.chromatin * specimen.nucleus, given.chromatin),
        (specimen.chromosomes, 0.004),
        (specimen.mitochondria, given.mitochondria),
        (specimen.reticulum, 0.001),
        (specimen.granules, given.granules),
    ):
        index += np.float32(offset * generator.lognormal(0, given.spread)) * density
    if given.debris:
        index += np.float32(0.03) * specimen.debris
    return np.asarray(index, np.float32)


def propagate(
    screens: ComplexField, planes: range, direction: npt.NDArray[np.float64], microscope: Microscope
) -> Volume:
    """Return the intensity (planes, Y, X) in some planes of a specimen lit by one plane wave.

    The wave's envelope about its own tilted carrier goes through one phase screen a slice (angular-spectrum split
    step); behind the last one it is cut by the objective's pupil and brought back to each plane in focus.

    Args:
        screens: transmission of each slice (Z, Y, X).
        planes: slices to focus on.
        direction: spatial frequency (Y, X) of the plane wave in cycles per um.
        microscope: its wavelength, medium and objective are used.
    """
    frequency = [
        np.expand_dims(fft.fftfreq(size, SPACING), 1 - axis) + direction[axis]
        for axis, size in enumerate(screens.shape[1:])
    ]
    lateral = frequency[0] ** 2 + frequency[1] ** 2
    axial_square = (microscope.medium / microscope.wavelength) ** 2 - lateral
    travels = axial_square > 0
    carrier = np.sqrt((microscope.medium / microscope.wavelength) ** 2 - np.sum(direction**2))
    phase = 2 * np.pi * SPACING * (np.sqrt(np.where(travels, axial_square, 0)) - carrier)
    step = (np.exp(1j * phase) * travels).astype(np.complex64)

    spectrum = np.zeros(screens.shape[1:], np.complex64)
    spectrum[0, 0] = spectrum.size
    for screen in screens:
        spectrum = fft.fft2(fft.ifft2(spectrum) * screen) * step
    spectrum *= pupil(frequency[0], frequency[1], microscope)
    back = step.conj()
    intensity = np.empty((len(planes), *screens.shape[1:]), np.float32)
    for plane in range(len(screens) - 1, planes.start - 1, -1):
        spectrum *= back
        if plane in planes:
            field = fft.ifft2(spectrum)
            intensity[plane - planes.start] = field.real**2 + field.imag**2
    return intensity


def brightfield_stack(specimen: Specimen, planes: range, microscope: Microscope) -> Volume:
    """Return the noiseless brightfield intensity (planes, Y, X), 1 in an empty field.

    Args:
        specimen: the cells, on a grid that goes beyond the wanted planes.
        planes: slices of the specimen's grid to focus on.
        microscope: the optics.
    """
    phase = 2 * np.pi / microscope.wavelength * SPACING * refractive_index(specimen)
    screens = np.exp(1j * phase.astype(np.float32)).astype(np.complex64)
    directions = illumination_directions(microscope, specimen.generator("illumination"))
    total = propagate(screens, planes, directions[0], microscope)
    for direction in directions[1:]:
        total += propagate(screens, planes, direction, microscope)
    return np.asarray(total / np.float32(len(directions)), np.float32)
