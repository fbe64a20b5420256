"""Everyday descriptions in seven languages, of structures, leads and methods: research needs them, so they stay."""

import pytest

from deidentifier.profiles.clean_text import clean_text
from deidentifier.profiles.identity import Identity
from tests.deidentifier.profiles.test_profile import engine, instance, item, run

DESCRIPTIONS = """
CT Thorax Abdomen Becken mit KM|Schädel nativ|LWS seitlich|HWS 2 Ebenen|Handgelenk links a.p|Nebennieren|Leber spätvenös
portalvenöse Phase|Dünnschicht Lunge|Becken-Bein-Angio|Beinvenen|MRT Oberbauch nativ und nach KM
t1_mprage_sag_p2_iso|ep2d_diff_4scan_trace_ADC|AAHead_Scout|resolve_3scan_trace_tra_p2_192|t1_fl3d_tra_dynaVIEWS_spair
AX T2 FLAIR|3-plane loc|CT C-spine|XR C Spine Comp Min 4 Views|ABD/PEL|V/Q|C-View|PI-RADS|OB 2nd trimester|X-ray chest
DTI 64 dir b1000|b=1000|ASL pCASL|LGE PSIR|CINE SA|4ch cine|MR Spectroscopy svs_se_135|CTPA|HRCT Lung|Follow-up|[18F]FDG
IRM cérébrale sans et avec injection|Scanner thoraco-abdomino-pelvien|Coupe axiale|Radiographie du thorax face
RM de columna lumbar sin contraste|Resonancia magnética cerebral|Ecografía abdominal|Radiografía de tórax PA
RM encefalo senza e con mdc|TC torace senza mezzo di contrasto|Rx torace|Risonanza magnetica|Ginocchio destro
RM do joelho direito|Raio X de tórax|Ultrassonografia do abdome total|TC de crânio sem contraste
CT hersenen zonder contrast|Echo bovenbuik|Wervelkolom lumbaal|MRI knie links
Transesophageal Echocardiogram|JPEG 2000 lossless|Uncompressed|NM Bone whole body|Lead aVF|Lead II (Einthoven)
SpinalCord|Brainstem|ParotidL|Glnd_Submand_L|OpticNrv_L|Femur_Head_L|PenileBulb|A_LAD|CTV_7000|PTV60Gy|PTVp_5040|CaudaEquina
"""


@pytest.mark.parametrize("text", [each for line in DESCRIPTIONS.split("\n") for each in line.split("|") if each])
def test_everyday_text_stays(text):
    assert clean_text(text) == text


@pytest.mark.parametrize("family", ["Roe", "Klein", "Stern", "Mark", "Angel", "Phil", "Inge", "Cano"])
def test_it_stays_whoever_the_patient_is(family):
    identity = Identity((("name", f"{family}^Zoe^^Mr".encode(), ("utf8",)),))
    for text in ("MR Sternum coronal marker", "Angio CT", "canonical", "sagittal"):
        expected = clean_text(text)
        assert identity.clean(text) == expected


def test_an_electrocardiogram_tells_its_leads():
    source = item(CodeValue="5.6.3-9-61", CodingSchemeDesignator="SCPECG", CodeMeaning="Lead III")
    channel = item(ChannelSourceSequence=[source])
    given = instance("1.2.840.10008.5.1.4.1.1.9.1.1", WaveformSequence=[item(ChannelDefinitionSequence=[channel])])
    result = run(engine("CleanDescriptors"), given)
    found = result.WaveformSequence[0].ChannelDefinitionSequence[0].ChannelSourceSequence[0]
    assert (found.CodeValue, found.CodeMeaning) == ("5.6.3-9-61", "Lead III")


def test_what_was_empty_stays_empty():
    result = run(engine("CleanDescriptors"), instance(Manufacturer="", PositionReferenceIndicator="", LUTLabel=""))
    assert (result.Manufacturer, result.PositionReferenceIndicator, result.LUTLabel) == ("", "", "")
