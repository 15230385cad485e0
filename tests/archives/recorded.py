"""Archives as programs wrote them that CI does not have, compressed by zlib, in base 85.

All but the one from standard input hold the three files of `FILES`.
"""

from __future__ import annotations

import base64
import zlib

FILES = {"text": b"hello\n" * 9, "sub/é": b"hi", "empty": b""}

_RECORDED = {
    "git archive, with a global header.tar": (
        "c-rmPO>V;=5Cve?IYn<!1~WhwJxc^JO)A+Xa)^{1spsg$I%;>WnkrI5|K7JS##lmV^v3co9#@;8q&Td$Ire!{Ur!6?-0LXjq"
        "byoQ+-V}u)^zfmEK{d8s)574#!0rEN~!1G`)qxFxL<<J&AN<Zeyn#<rx@J2<IEiTrRA{fjR}-<ZxRJfG708BEfoA2dEC|0mG"
        "^kdzx_D>azD$zAtU_)`M<jTA>FD5_4l4HsXsZ^ic$Y2^?!c)?);l~`L~4px3GP{H}F5J`B+=@|Fij*e}j4d_g*9aE%Kj-p)4"
        "-FA~yg40000000000002ML3tFd+TL"
    ),
    "git archive.zip": (
        "c-jl_W@h1H00Bv{idY6Dz{<eMkeXXiQW+Y;%D^c6n<YB{r&<=E+TzkAeRQQ95T$FhCf{HJDg$9QsM5nL;fgadVJ35cm8Wq{Y"
        "UT#=%%CQhq*j!`6`%Gvd-CM-QwkGV7y`T*fhOX1JqR$uMbQ0%TQ3V#F9U-B5bFRjn%|&Warh2lZ8%gbl3x+_V)rXTa~lw&_&"
        "mUyl?~!N7KZmgdJhn5FeDlzC0dvz8=Iz@np&h-nwVNxrWhGn7^bGC7$q567#IRM7Dj1F04AJF^#"
    ),
    "zip 3.0, to a pipe.zip": (
        "c-jl_W@Zs#-~d8Nv5Hs*C@=$J79cK3ttdI|arWfN=cg1VvM>aAvvZ_zO={+bDhU8;<^pPEK+y~WtU#QaTToI7(t<1j(ZYa53"
        "&_6W(j@%=tS({#Vm7FX!z)jpfH-E2*5n&3P}u-)MkYCCgid6KvOrB?1mY!)3{amzbl~;?3@mB1MR*6I1(ydPK!D+`V*%VdsL"
        "n!mG8>AsCc(WI;LXYgF_DGgG>|?8Rs{go`8g*"
    ),
    "zip 3.0, zip64 forced.zip": (
        "c-jl_W@gc400Bv{ir6%+NzMPEfQ3PXp(M4Ugpomj!HfX{V01=mPEI}-sbm0(T_74}7c0=N)ZBuSN|0sf0Jk=f6N^ie^a<-)q"
        "c!;kOcxte*Wr~QeN0gGFghbMz?+dtju|yj%%HZiFz~=_Skee0Awk3e4;pmcFx3!mBJ0ipl2A``AUPYPoeQgWgyjMZZygr{X^"
        "7|1b)$Nl396e7#qyg_-Jn3=fO|f`n~hBe%7&Q(0xW3sZzwIy2-n9BqWPc(F@nWd*&upY!0JJ6U|;|M45oYH"
    ),
    "jar of OpenJDK 17.zip": (
        "c-jl_W@h1HVBlb2kQA$kWk3R~3@i+(xdkPa|4uP51mIN00>s6oN%|laA`BcH92hFtpehcpJbi)%Xc9Ze8m-AUK>C;%ASPqi2"
        "U1azT2XS^<Lt?k&rc~#glJCVn$*k<lrjTrW@O@G!0moifaDw8+E6vA!+podB*K7jC$bONP;_|0eT%LK+2N?RG(vqE;LXYgaR"
        "Up(c_6(HEDHd&tTw;"
    ),
    "libarchive 3.6.zip": (
        "c-jl_W@gc4-~d7f21N!C_zwjv3>pk2sTC!mA&d+Rr4`%^j4U8&Fu}+mz<>@;dz?La^7$!+i7X5O-s~J{T$7r)p;Bg0Isj;y2"
        "m=QP!ZHwG0%A4>5r*Q@B>lrHu~~Qe1jNiWT9a?EKy^UPVn8(u1XzJ)rREltRAMuV8Eg>DT8N_<nRJ;EVE}Wu8CZ)5+}I_JAQ"
        "D%IfJ_l#MtBa{sca~w<N`_DUWJ>3<S`~Bk0H$22_$iPGr*gb4dPv9hN~bW7(qM$D62jX"
    ),
}

ARCHIVES = {name: zlib.decompress(base64.b85decode(text)) for name, text in _RECORDED.items()}
"""By the program, and then the format."""
FROM_STANDARD_INPUT = zlib.decompress(
    base64.b85decode(
        "c-jl_W@gc4-~d8Nv5Hs*Aovdjj0_?Sx{M404Cvsr$Jvu7pPy2g$ifid&CZd=HK~~!DrE+x1H2iT<d_lW!qkA|8KG)Gbb}y>r"
        "5oVQ$_5c)WY7oFVPFLSfSVX9"
    )
)
"""`text`, that Info-ZIP called "-"."""
